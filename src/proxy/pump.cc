// SPDX-License-Identifier: Apache-2.0
#include "proxy/pump.h"

#include <algorithm>

#include "base/limits.h"
#include "io/splice.h"

namespace weir::proxy {
namespace {

// A splice is left this often, so that what was moved is counted.
constexpr std::uint64_t kSpliceStep = 4_MiB;

enum class Run : std::uint8_t { copy, moved, last, failed };

// A body whose length says that it is bulk need not prove it.
bool announced(BodyReader& reader) {
  const PlainRun run = reader.plain_run();
  return run.stream != nullptr && run.bytes >= kSpliceFrom && run.bytes != kToTheEnd;
}

// Moves a run of plain bytes from socket to socket, if there is one now.
Task<Run> splice_run(BodyReader& reader, BodyWriter& writer, io::PipePool& pipes, Pumped& outcome) {
  const PlainRun run = reader.plain_run();
  io::TcpStream* sink = writer.plain_sink();
  if (run.stream == nullptr || sink == nullptr) co_return Run::copy;
  io::Splice work{*run.stream,
                  *sink,
                  pipes,
                  std::min(run.bytes, kSpliceStep),
                  reader.stall(),
                  writer.stall(),
                  reader.moved_at()};
  const Result<io::Spliced> spliced = co_await io::splice_bytes(work);
  writer.spliced(work.passed);
  const bool ended = spliced && *spliced == io::Spliced::ended;
  const Result<Piece> piece =
      reader.spliced(work.taken, ended ? BodyReader::Ended::yes : BodyReader::Ended::no);
  if (!spliced) {
    const bool at_sink = io::sink_failed(spliced.error());
    outcome.failed = at_sink ? Pumped::Side::writer : Pumped::Side::reader;
    outcome.error = at_sink ? spliced.error() : reader.splice_failed(spliced.error());
    co_return Run::failed;
  }
  if (!piece) {
    outcome = {Pumped::Side::reader, piece.error()};
    co_return Run::failed;
  }
  if (piece->last) co_return Run::last;
  co_return *spliced == io::Spliced::copy ? Run::copy : Run::moved;
}

}  // namespace

Task<Pumped> pump(BodyReader& reader, BodyWriter& writer, io::Loop& loop, io::PipePool* pipes) {
  std::uint64_t copied = 0;
  bool tried = false;
  std::size_t in_turn = 0;
  for (;;) {
    if (!reader.ready()) {
      if (Result<void> flushed = co_await writer.flush(); !flushed) {
        co_return Pumped{Pumped::Side::writer, flushed.error()};
      }
    }
    Result<Piece> piece;
    Run run = Run::copy;
    if (pipes != nullptr && (copied >= kSpliceAfter || (!tried && announced(reader)))) {
      Pumped outcome;
      run = co_await splice_run(reader, writer, *pipes, outcome);
      if (run == Run::failed) co_return outcome;
      if (run == Run::moved) continue;
      // What is a trickle now may be bulk later.
      tried = true;
      copied = 0;
    }
    if (run == Run::last) {
      piece = Piece{{}, true};
    } else {
      piece = co_await reader.read();
    }
    if (!piece) co_return Pumped{Pumped::Side::reader, piece.error()};
    Result<void> sent;
    if (piece->last) {
      sent = co_await writer.finish(piece->bytes, &reader.trailers());
    } else {
      sent = co_await writer.write(piece->bytes);
    }
    if (!sent) co_return Pumped{Pumped::Side::writer, sent.error()};
    if (piece->last) co_return Pumped{};
    copied += piece->bytes.size();
    in_turn += piece->bytes.size();
    if (in_turn >= kTurnBytesMax) {
      in_turn = 0;
      co_await yield(loop.queue);
    }
  }
}

}  // namespace weir::proxy
