// SPDX-License-Identifier: Apache-2.0
//
// Requests that have to be refused: nothing of them may reach a server.
#pragma once

#include <cstdint>
#include <string>

namespace weir::sim {

std::size_t malformed_count();
/// The bytes of one of them. `head_size`: what the proxy takes at most.
std::string malformed_text(std::size_t which, std::uint64_t id, std::size_t head_size);
/// It is only half of a request: the client waits to be refused.
bool malformed_is_half(std::size_t which);

}  // namespace weir::sim
