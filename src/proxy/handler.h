// SPDX-License-Identifier: Apache-2.0
//
// What answers the exchanges of a connection instead of the configured routes: the admin interface
// and the demo's origin.
#pragma once

#include "async/task.h"
#include "proxy/body.h"

namespace weir::proxy {

class Responder;

/// nullptr stands for the proxy.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<> handle(const http::RequestHead& head, BodyReader& body, Responder& responder) = 0;
};

}  // namespace weir::proxy
