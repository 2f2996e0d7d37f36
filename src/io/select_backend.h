#pragma once
#include <memory>
#include "io/epoll_io.h"
namespace weir::io {
enum class Backend : std::uint8_t { automatic, ring, epoll };
inline Result<std::unique_ptr<Io>> make_io(Backend, Loop& loop) { return make_epoll_io(loop); }
}
#include <string>
namespace weir::io {
struct Selected { Backend backend; std::string why; };
inline Selected select_backend(Backend) { return {Backend::epoll, "using epoll"}; }
}
