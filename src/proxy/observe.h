// SPDX-License-Identifier: Apache-2.0
//
// The one place where an ended exchange is counted and logged.
#pragma once

#include "proxy/context.h"
#include "proxy/record.h"

namespace weir::proxy {

void observe(Context& context, const Record& record);

}  // namespace weir::proxy
