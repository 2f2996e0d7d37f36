// SPDX-License-Identifier: Apache-2.0
//
// Every fixed bound in one place, with the arithmetic of the worst case. Bounds that an operator
// may want to change are settings (config/config.h, struct Limits) instead.
//
// Memory for stream buffers is one budget per process (limits.memory), split evenly over the
// workers. A direction of a stream holds at most one chunk, so a proxied exchange holds at most
//     client head 64 KiB + one chunk of kWindowMax per direction + one pipelined read of 4 KiB,
// and with splice, while bytes pass, one pipe per direction with at most kSplicePipeSize in it; a
// worker has kSplicePipesMax of them. An idle connection holds none. Above kBudgetTight of its
// budget a worker gives no chunk larger than kWindowTight; above the budget reads pause until
// chunks come back, and peers that take nothing of what waits for them are shed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace weir {

// Coroutine frames and small objects: size classes of 64 bytes, a cache line, up to 4 KiB.
inline constexpr std::size_t kFrameClassStep = 64;
inline constexpr std::size_t kFrameClasses = 64;
inline constexpr std::size_t kFreeFramesKept = 64;  ///< of each class, however long unused

// Windows of streams.
inline constexpr std::size_t kWindowHead = 4_KiB;  ///< first read of a head; idle connections: none
inline constexpr std::size_t kWindowStart = 16_KiB;  ///< first read of a body
inline constexpr std::size_t kWindowTight = 16_KiB;  ///< when the budget is tight
inline constexpr std::size_t kWindowMax = 256_KiB;
inline constexpr std::size_t kBudgetTightPercent = 75;
/// One part in so many of the budget is for work under way: when the heads of new requests could
/// have it all, none of those that are under way could be answered any more.
inline constexpr std::size_t kBudgetReservedPart = 8;
/// And one part in so many may be used beyond it, for bytes that were received already.
inline constexpr std::size_t kBudgetBeyondPart = 8;
inline constexpr std::size_t kFreeChunksKept = 64;  ///< of 4 KiB, however long unused

// What is kept for the next use and was not used for so long goes back to the system. Chunks that
// are in use and those that are kept are together within the budget.
inline constexpr int kTrimMillis = 1'000;

// While receives wait for memory, ten times in a second: how many stalled connections are shed, and
// how long a peer may take nothing before it can be one of them.
inline constexpr std::size_t kStalledShed = 32;
inline constexpr int kStallShedMillis = 1'000;

// Splice.
inline constexpr std::size_t kSpliceFrom = 32_KiB;    ///< the rest of a known length that is bulk
inline constexpr std::size_t kSpliceAfter = 512_KiB;  ///< copied before any other stream is bulk
inline constexpr std::size_t kSplicePipeSize = 256_KiB;  ///< larger ones leave the caches
inline constexpr std::size_t kSpliceThin = 16_KiB;       ///< less at once is cheaper to copy
inline constexpr std::size_t kSpliceThinMax = 4;         ///< times in a row, then it is copied
inline constexpr std::size_t kSplicePipesMax = 256;      ///< per worker, in use and kept
inline constexpr std::size_t kSplicePipesIdleMax = 32;

// TLS. A connection whose peer has begun a record holds up to one of them in a chunk of 32 KiB, and
// one that sends holds a chunk with what is encrypted; both go beyond the budget when there is no
// other way, so that what the budget is used up for can leave. A handshake holds some 50 KiB of
// OpenSSL's, for timeouts.tls_handshake at most.
inline constexpr std::size_t kSealMax = 64_KiB;  ///< encrypted at once: it should stay in the cache
inline constexpr std::size_t kFirstRecords = 64_KiB;    ///< sent in small records at first, and …
inline constexpr int kFirstRecordsIdleMillis = 1'000;   ///< … after so long without any
inline constexpr std::size_t kFirstRecordSize = 1'370;  ///< so that each is in one packet
inline constexpr std::size_t kTlsHandshakeBytesMax = 256_KiB;  ///< of a peer, certificates included
inline constexpr unsigned kEmptyRecordsMax = 32;  ///< in a row: records that bring no content
inline constexpr int kLastWordsMillis = 50;       ///< then it is tried again to send them

// Work in one turn of the loop, so that no connection starves another.
inline constexpr std::size_t kRunMax = 64;  ///< resumptions before looking for events again
inline constexpr std::size_t kTurnBytesMax = 512_KiB;  ///< moved by one direction before it yields
inline constexpr std::size_t kTurnRequestsMax = 16;    ///< pipelined requests before it yields
inline constexpr std::size_t kAcceptsPerTurn = 16;
inline constexpr int kEventsPerWait = 64;

// The io_uring backend: 64 buffers of 4 KiB are half of a usual L2 cache.
inline constexpr unsigned kRingEntries = 512;
inline constexpr unsigned kRingBuffers = 64;

// Before a connection's protocol begins.
inline constexpr std::size_t kProxyHeaderMax = 4_KiB;  ///< a PROXY header with all its additions
/// A ClientHello with the heads of its records: what is held until its upstream is known. Browsers
/// send less than 2 KiB, post-quantum keys included.
inline constexpr std::size_t kClientHelloMax = 16_KiB;

// HTTP/2, per connection. What clients have sent and nobody has read yet is at most kH2Window for
// each stream, kH2WideningMax more for those that were read as fast as they came, and
// kH2ConnectionWindow together; what is to be sent is gathered in one chunk of
// kH2OutputMax, and stands otherwise in the exchanges' own buffers. Heads are bounded by
// limits.head_size each and kH2RequestHeadsMax together. So a connection holds at most
//     kH2ConnectionWindow 2 MiB + kH2OutputMax 64 KiB + one receive of kH2ReceiveMax 64 KiB
//     + kH2RequestHeadsMax 512 KiB,
// all but the heads from the budget (kBudgetBeyondPart of it more when it is used up, and
// kH2OutputMin of the output); towards a server kH2Window for each request, counted in it, and held
// also when it is used up. And an exchange for each stream, as on HTTP/1.
inline constexpr std::size_t kH2RequestHeadsMax = 512_KiB;
inline constexpr std::uint32_t kH2Streams = 128;  ///< open at once
inline constexpr std::uint32_t kH2Window = 64_KiB;
inline constexpr std::uint32_t kH2WideningMax = 1_MiB - kH2Window;
inline constexpr std::uint32_t kH2ConnectionWindow = 2_MiB;
inline constexpr std::size_t kH2OutputMin = 16_KiB;  ///< grows while it is filled
inline constexpr std::size_t kH2OutputMax = 64_KiB;
inline constexpr std::size_t kH2ReceiveMax = 64_KiB;
inline constexpr std::size_t kH2RepliesMax = 100;  ///< acknowledgements that wait to be sent
inline constexpr std::size_t kH2HeadsMax = 8;      ///< of a response that were not read yet
inline constexpr std::size_t kH2SettingsMax = 32;  ///< entries of one SETTINGS frame
/// Frames that do nothing for a request: so many at once, and so many in a second. Beyond that the
/// connection ends with ENHANCE_YOUR_CALM.
inline constexpr std::int64_t kH2IdleFramesMax = 1'000;
inline constexpr std::int64_t kH2IdleFramesPerSecond = 33;
/// A head that is not kept is still decoded, because its compression has a state: up to so many
/// times its limit, then the connection ends.
inline constexpr std::size_t kH2HeadExcessMax = 8;

// After an error response: what is still read of the request, so that the client sees the response
// and not a reset. RFC 9112 section 9.6.
inline constexpr std::size_t kLingerBytesMax = 256_MiB;
inline constexpr int kLingerMillis = 5000;

// The access log: lines gathered per worker, and as much again that the writer is writing.
inline constexpr std::size_t kLogBufferSize = 1_MiB;
inline constexpr int kLogWriteMillis = 50;     ///< a line waits at most this long to be written
inline constexpr int kLogRetryMillis = 1'000;  ///< after a failure (disk full, directory gone)

}  // namespace weir
