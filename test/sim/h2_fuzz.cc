// SPDX-License-Identifier: Apache-2.0
//
// The whole server on the simulated network, as server_fuzz.cc, where a client or a server speaks
// HTTP/2: the bytes choose its frames (fuzz_frames.h), well-formed ones or any bytes behind a valid
// preface. See fuzz_judge.cc for what must hold.
#include <cstdio>
#include <cstdlib>

#include "async/frame_pool.h"
#include "fuzz_frames.h"
#include "fuzz_world.h"
#include "server/diagnostics.h"

using namespace weir;
using namespace weir::sim;

namespace {

FuzzLasting* g_lasting = nullptr;  // NOLINT: libFuzzer has no place for it

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  server::set_diagnostics_level(config::LogLevel::error);
  g_lasting = new FuzzLasting;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::int64_t before = pool_counts().live;
  {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    FuzzWorld world(*g_lasting, make_frames_script(bytes));
    world.run();
    const bool prints = std::getenv("WEIR_FUZZ_TRANSCRIPT") != nullptr;
    if (prints || !world.violations().empty()) {
      const std::string text = world.transcript();
      std::fwrite(text.data(), 1, text.size(), stderr);  // with the zeros of frames
    }
    if (!world.violations().empty()) std::abort();
  }
  WEIR_ASSERT(pool_counts().live == before);
  return 0;
}
