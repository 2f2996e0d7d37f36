// SPDX-License-Identifier: Apache-2.0
#include "server/reply.h"

namespace weir::server {

Task<> reply(proxy::Responder& responder, const http::RequestHead& request, int status,
             std::string_view content_type, std::string_view body) {
  http::ResponseHead head;
  head.status = status;
  head.fields.push_back({"Content-Type", content_type, http::FieldId::content_type});
  head.fields.push_back({"Cache-Control", "no-store"});
  const bool bodiless = request.method == http::Method::head;
  responder.start(head, {},
                  bodiless ? http::BodyLength::none() : http::BodyLength::known(body.size()));
  Result<void> sent = co_await responder.finish(bodiless ? Bytes{} : body, nullptr);
  if (!sent) responder.abort(sent.error());
}

}  // namespace weir::server
