// SPDX-License-Identifier: Apache-2.0
//
// A FuzzScript with HTTP/2 in it, made of any bytes. The first byte says who speaks it: 0 and 1 a
// client, 2 and 3 a server (of the route /h2/**), by frames that are built and by raw bytes in
// turn. The second one is the network's seed. What follows are frames, a byte for the kind of each:
//
//   0 to 10   a frame of this type: flags, stream; then what it carries. Of HEADERS a number of
//             fields, each a place in a table; of others a length and bytes
//   11        a pause      12   the end of the direction      13   the connection breaks
#pragma once

#include "fuzz_script.h"

namespace weir::sim {

FuzzScript make_frames_script(std::string_view bytes);

}  // namespace weir::sim
