// SPDX-License-Identifier: Apache-2.0
#include "proxy/pump.h"

#include <algorithm>

#include "base/limits.h"
#include "io/splice.h"

namespace weir::proxy {
namespace {

// A splice is left this often, so that what was moved is counted and a drain is noticed.
constexpr std::uint64_t kSpliceStep = 4_MiB;

enum class Spliced : std::uint8_t { impossible, moved, last, failed };

// Moves a run of plain bytes from socket to socket, if there is one now.
Task<Spliced> splice_run(BodyReader& reader, BodyWriter& writer, io::PipePool& pipes,
                         Pumped& outcome) {
  const PlainRun run = reader.plain_run();
  io::TcpStream* sink = writer.plain_sink();
  if (run.stream == nullptr || sink == nullptr) co_return Spliced::impossible;
  const std::uint64_t limit = std::min(run.bytes, kSpliceStep);
  const Result<std::uint64_t> moved = co_await io::splice_bytes(
      *run.stream, *sink, limit, reader.stall(), writer.stall(), pipes, reader.moved_at());
  if (!moved) {
    if (io::not_spliced(moved.error())) co_return Spliced::impossible;
    const bool at_sink = io::sink_failed(moved.error());
    outcome.failed = at_sink ? Pumped::Side::writer : Pumped::Side::reader;
    outcome.error = at_sink ? moved.error() : reader.meaning(moved.error());
    co_return Spliced::failed;
  }
  writer.spliced(*moved);
  const auto ended = *moved < limit ? BodyReader::Ended::yes : BodyReader::Ended::no;
  const Result<Piece> piece = reader.spliced(*moved, ended);
  if (!piece) {
    outcome = {Pumped::Side::reader, piece.error()};
    co_return Spliced::failed;
  }
  co_return piece->last ? Spliced::last : Spliced::moved;
}

Task<Result<void>> send_piece(const Piece& piece, BodyReader& reader, BodyWriter& writer) {
  Result<void> sent;
  if (piece.last) {
    sent = co_await writer.finish(piece.bytes, &reader.trailers());
  } else {
    sent = co_await writer.write(piece.bytes);
  }
  co_return sent;
}

}  // namespace

Task<Pumped> pump(BodyReader& reader, BodyWriter& writer, io::Loop& loop, io::PipePool* pipes) {
  std::uint64_t copied = 0;
  std::size_t in_turn = 0;
  for (;;) {
    if (!reader.ready()) {
      if (Result<void> flushed = co_await writer.flush(); !flushed) {
        co_return Pumped{Pumped::Side::writer, flushed.error()};
      }
    }
    if (pipes != nullptr && copied >= kSpliceAfter) {
      Pumped outcome;
      const Spliced spliced = co_await splice_run(reader, writer, *pipes, outcome);
      if (spliced == Spliced::failed) co_return outcome;
      if (spliced == Spliced::moved) continue;
      if (spliced == Spliced::last) {
        const Result<void> sent = co_await send_piece({{}, true}, reader, writer);
        if (!sent) co_return Pumped{Pumped::Side::writer, sent.error()};
        co_return Pumped{};
      }
    }
    const Result<Piece> piece = co_await reader.read();
    if (!piece) co_return Pumped{Pumped::Side::reader, piece.error()};
    const Result<void> sent = co_await send_piece(*piece, reader, writer);
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
