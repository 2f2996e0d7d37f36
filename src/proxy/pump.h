// SPDX-License-Identifier: Apache-2.0
//
// Moving one body from a reader to a writer: read only when the last piece has left (that is the
// backpressure), finish only when the reader said that the body is complete. A body that is bulk,
// as its length or what was copied of it tells, goes by splice when both sides are plain sockets.
#pragma once

#include "proxy/body.h"

namespace weir::io {
class PipePool;
}

namespace weir::proxy {

/// How it ended: which side failed, if one did.
struct Pumped {
  enum class Side : std::uint8_t { none, reader, writer };
  Side failed = Side::none;
  Error error{};
};

/// Returns when `writer` is finished or one side failed. Neither is aborted here.
Task<Pumped> pump(BodyReader& reader, BodyWriter& writer, io::Loop& loop, io::PipePool* pipes);

}  // namespace weir::proxy
