// SPDX-License-Identifier: Apache-2.0
#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <thread>

#include "base/thread_signals.h"
#include "io/resolver.h"
#include "io/system_socket.h"

namespace weir::io {
namespace {

Error error_of(int status) {
  const Code code = status == ARES_ETIMEOUT ? Code::timed_out : Code::unresolved;
  return Error{code, Cause::none, 0, ares_strerror(status)};
}

bool same(const Resolution& a, const Resolution& b) {
  const auto key = [](const Resolution& r) { return r.error ? r.error->where : nullptr; };
  return a.addresses == b.addresses && key(a) == key(b);
}

class CaresResolver;

// One name that somebody watches. Kept while a query for it is under way, even if nobody does any
// more.
struct Name {
  CaresResolver* resolver = nullptr;
  std::string text;
  std::map<Resolver::WatchId, Resolver::Callback> watchers;
  std::vector<Resolver::WatchId> untold;  // have not got the present answer yet
  Resolution known;
  bool answered = false;
  bool asking = false;
  Instant due{};
  Millis backoff{0};
};

class CaresResolver final : public Resolver {
 public:
  explicit CaresResolver(ResolverOptions options) : options_(std::move(options)) {}
  ~CaresResolver() override;
  Result<void> open();

  WatchId watch(const std::string& name, Callback callback) override;
  void unwatch(WatchId watch) override;

 private:
  Result<void> open_channel();
  void wake();
  void run();
  void ask_what_is_due(Instant now);
  void ask(Name& name);
  [[nodiscard]] int wait_millis(Instant now);
  static void on_answer(void* context, int status, int timeouts, ares_addrinfo* answer);
  void take_answer(Name& name, int status, const ares_addrinfo* answer);
  void tell(Name& name, bool changed);

  const ResolverOptions options_;
  ares_channel channel_ = nullptr;  // the thread's, once it runs
  int event_ = -1;
  bool channel_stale_ = false;
  std::size_t asking_ = 0;
  std::thread thread_;

  std::mutex mutex_;  // held by the thread except while it waits
  bool stopping_ = false;
  WatchId next_watch_ = 1;
  std::map<std::string, std::unique_ptr<Name>> names_;
};

CaresResolver::~CaresResolver() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake();
    thread_.join();
  }
  if (channel_ != nullptr) ares_destroy(channel_);
  if (event_ >= 0) ::close(event_);
}

Result<void> CaresResolver::open() {
  event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ < 0) return std::unexpected(os_error(errno, "eventfd"));
  if (const Result<void> opened = open_channel(); !opened) return opened;
  const SignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
  return {};
}

Result<void> CaresResolver::open_channel() {
  ares_options options{};
  options.timeout = static_cast<int>(options_.timeout.count());
  options.tries = options_.tries;
  int status = ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
  if (status != ARES_SUCCESS) channel_ = nullptr;
  if (status == ARES_SUCCESS && !options_.servers.empty()) {
    status = ares_set_servers_ports_csv(channel_, options_.servers.c_str());
  }
  if (status != ARES_SUCCESS) return fail(error_of(status));
  return {};
}

void CaresResolver::wake() {
  const std::uint64_t one = 1;
  ignore(::write(event_, &one, sizeof one), "a full counter wakes as well");
}

Resolver::WatchId CaresResolver::watch(const std::string& text, Callback callback) {
  WatchId id = 0;
  {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Name>& name = names_[text];
    if (!name) {
      name = std::make_unique<Name>();
      name->resolver = this;
      name->text = text;
    }
    id = next_watch_++;
    name->watchers.emplace(id, std::move(callback));
    name->untold.push_back(id);
  }
  wake();
  return id;
}

void CaresResolver::unwatch(WatchId watch) {
  const std::lock_guard lock(mutex_);
  for (auto it = names_.begin(); it != names_.end(); ++it) {
    Name& name = *it->second;
    if (name.watchers.erase(watch) == 0) continue;
    std::erase(name.untold, watch);
    if (name.watchers.empty() && !name.asking) names_.erase(it);
    return;
  }
}

void CaresResolver::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Instant now = monotonic_now();
    if (channel_stale_ && asking_ == 0) {
      // The system's servers may have changed since; the channel learns of it only when it is made.
      ares_destroy(channel_);
      channel_stale_ = !open_channel().has_value();
    }
    ask_what_is_due(now);
    pollfd files[ARES_GETSOCK_MAXNUM + 1];
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    nfds_t count = 0;
    files[count++] = {event_, POLLIN, 0};
    const int mask = channel_ == nullptr ? 0 : ares_getsock(channel_, sockets, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      short events = 0;
      if (ARES_GETSOCK_READABLE(mask, i)) events |= POLLIN;
      if (ARES_GETSOCK_WRITABLE(mask, i)) events |= POLLOUT;
      if (events != 0) files[count++] = {sockets[i], events, 0};
    }
    const int timeout = wait_millis(now);
    lock.unlock();
    ignore(::poll(files, count, timeout), "whatever came is looked at below");
    lock.lock();
    std::uint64_t value = 0;
    ignore(::read(event_, &value, sizeof value), "only the wake-up matters");
    if (channel_ == nullptr) continue;
    for (nfds_t i = 1; i < count; ++i) {
      const bool in = (files[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool out = (files[i].revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
      if (in || out) {
        ares_process_fd(channel_, in ? files[i].fd : ARES_SOCKET_BAD,
                        out ? files[i].fd : ARES_SOCKET_BAD);
      }
    }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what timed out
  }
  if (channel_ != nullptr) ares_cancel(channel_);
}

int CaresResolver::wait_millis(Instant now) {
  Instant next = now + Millis(60'000);
  for (const auto& [text, name] : names_) {
    if (!name->asking) next = std::min(next, name->due);
  }
  auto millis = static_cast<int>(std::max<std::int64_t>(0, ((next - now).count() + 999) / 1000));
  timeval left{};
  if (channel_ != nullptr && ares_timeout(channel_, nullptr, &left) != nullptr) {
    millis = std::min(millis, static_cast<int>(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000));
  }
  return millis;
}

void CaresResolver::ask_what_is_due(Instant now) {
  std::vector<Name*> due;
  for (const auto& [text, name] : names_) {
    if (!name->untold.empty() && name->answered) tell(*name, false);
    if (!name->asking && name->due <= now) due.push_back(name.get());
  }
  for (Name* name : due) ask(*name);
}

void CaresResolver::ask(Name& name) {
  if (const Result<SocketAddress> literal = SocketAddress::from_ip(name.text, 0)) {
    name.known = Resolution{{*literal}, std::nullopt};
    name.answered = true;
    name.due = kNever;
    return tell(name, true);
  }
  if (channel_ == nullptr) return take_answer(name, ARES_ENOTINITIALIZED, nullptr);
  name.asking = true;
  ++asking_;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = ARES_AI_NOSORT;
  ares_getaddrinfo(channel_, name.text.c_str(), nullptr, &hints, on_answer, &name);
}

void CaresResolver::on_answer(void* context, int status, int /*timeouts*/, ares_addrinfo* answer) {
  auto& name = *static_cast<Name*>(context);
  CaresResolver& self = *name.resolver;
  name.asking = false;
  --self.asking_;
  if (name.watchers.empty()) {
    self.names_.erase(std::string(name.text));
  } else if (status != ARES_EDESTRUCTION && status != ARES_ECANCELLED) {
    self.take_answer(name, status, answer);
  }
  if (answer != nullptr) ares_freeaddrinfo(answer);
}

void CaresResolver::take_answer(Name& name, int status, const ares_addrinfo* answer) {
  Resolution fresh;
  Millis ttl = options_.ttl_max;
  for (const ares_addrinfo_node* node = answer == nullptr ? nullptr : answer->nodes;
       node != nullptr; node = node->ai_next) {
    if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
    SocketAddress address = SocketAddress::from_raw(node->ai_addr, node->ai_addrlen);
    address.set_port(0);
    fresh.addresses.push_back(address);
    ttl = std::min(ttl, Millis(std::int64_t{node->ai_ttl} * 1000));
  }
  const Instant now = monotonic_now();
  if (status == ARES_SUCCESS && fresh.addresses.empty()) status = ARES_ENODATA;
  if (status == ARES_SUCCESS) {
    // Servers rotate their answers; only another set is a change.
    std::ranges::sort(fresh.addresses, {}, [](const SocketAddress& a) { return a.text(); });
    const auto rest = std::ranges::unique(fresh.addresses);
    fresh.addresses.erase(rest.begin(), rest.end());
    name.backoff = Millis(0);
    name.due = now + std::clamp(ttl, options_.ttl_min, options_.ttl_max);
  } else {
    fresh.addresses = name.known.addresses;
    fresh.error = error_of(status);
    name.backoff = std::clamp(name.backoff * 2, options_.retry_min, options_.retry_max);
    name.due = now + name.backoff;
    channel_stale_ = true;
  }
  const bool changed = !name.answered || !same(name.known, fresh);
  name.known = std::move(fresh);
  name.answered = true;
  tell(name, changed);
}

void CaresResolver::tell(Name& name, bool changed) {
  for (auto& [id, callback] : name.watchers) {
    if (changed || std::ranges::find(name.untold, id) != name.untold.end()) callback(name.known);
  }
  name.untold.clear();
}

// c-ares wants to be initialised once per process, before threads.
struct Library {
  int status = ares_library_init(ARES_LIB_INIT_ALL);
};

}  // namespace

Result<std::unique_ptr<Resolver>> make_resolver(ResolverOptions options) {
  static const Library library;
  if (library.status != ARES_SUCCESS) return fail(error_of(library.status));
  auto resolver = std::make_unique<CaresResolver>(std::move(options));
  if (const Result<void> opened = resolver->open(); !opened) return fail(opened.error());
  return resolver;
}

}  // namespace weir::io
