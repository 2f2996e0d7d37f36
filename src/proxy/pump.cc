// SPDX-License-Identifier: Apache-2.0
#include "proxy/pump.h"

#include "base/limits.h"

namespace weir::proxy {

Task<Pumped> pump(BodyReader& reader, BodyWriter& writer, io::Loop& loop, io::PipePool*) {
  std::size_t in_turn = 0;
  for (;;) {
    if (!reader.ready()) {
      if (Result<void> flushed = co_await writer.flush(); !flushed) {
        co_return Pumped{Pumped::Side::writer, flushed.error()};
      }
    }
    Result<Piece> piece = co_await reader.read();
    if (!piece) co_return Pumped{Pumped::Side::reader, piece.error()};
    Result<void> sent;
    if (piece->last) {
      sent = co_await writer.finish(piece->bytes, &reader.trailers());
    } else {
      sent = co_await writer.write(piece->bytes);
    }
    if (!sent) co_return Pumped{Pumped::Side::writer, sent.error()};
    if (piece->last) co_return Pumped{};
    in_turn += piece->bytes.size();
    if (in_turn >= kTurnBytesMax) {
      in_turn = 0;
      co_await yield(loop.queue);
    }
  }
}

}  // namespace weir::proxy
