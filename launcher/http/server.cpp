#include "launcher/http/server.h"

#include <fmt/chrono.h>
#include <sys/resource.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <ctime>

#include "engine/base/thread_name.h"
#include "launcher/http/port_holder.h"
#include "launcher/http/session.h"

namespace shardline::launcher::http {
namespace {

// Signals are for the main thread: threads made in its scope never get one.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// As many open files as connections need, where the hard limit allows.
void raise_file_limit(int connections) {
  rlimit limit{};
  const rlim_t wanted = static_cast<rlim_t>(connections) + 512;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A client that vanished without a word is found by probes within a minute.
void probe_silence(tcp::socket& socket) {
  boost::system::error_code ec;
  socket.set_option(tcp::no_delay(true), ec);
  socket.set_option(boost::asio::socket_base::keep_alive(true), ec);
  const int fd = socket.native_handle();
  for (const auto& [option, value] : {std::pair{TCP_KEEPIDLE, 30}, std::pair{TCP_KEEPINTVL, 10}, std::pair{TCP_KEEPCNT, 3}})
    setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

}  // namespace

Server::Impl::Impl(const ServerOptions& o, FaultResponse f, Handler h)
    : options(o), fault(std::move(f)), timer(io), handler(std::make_shared<const Handler>(std::move(h))) {}

Status Server::Impl::listen(const std::string& host, int port) {
  boost::system::error_code ec;
  const auto addresses = tcp::resolver(io).resolve(host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, ec);
  if (ec || addresses.empty()) return Error{ErrorCode::usage, fmt::format("{} has no address: {}", host, ec.message()), "host"};
  const tcp::endpoint endpoint = addresses.begin()->endpoint();
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(4096, ec);
  if (!ec) bound = acceptor.local_endpoint(ec);
  if (!ec) return {};
  if (ec == boost::asio::error::address_in_use)
    return Error{ErrorCode::unavailable, fmt::format("{}:{} is in use{}", host, port, port_holder(port)), "port"};
  return Error{ErrorCode::io, fmt::format("cannot listen on {}:{}: {}", host, port, ec.message()), "port"};
}

void Server::Impl::run() {
  tick();
  accept();
  const SignalsBlocked blocked;
  handlers = std::make_unique<boost::asio::thread_pool>(static_cast<std::size_t>(options.handler_threads));
  thread = std::thread([this] {
    name_thread("http");
    io.run();
  });
}

void Server::Impl::accept() {
  acceptor.async_accept([this](const boost::system::error_code& ec, tcp::socket socket) {
    if (ec == boost::asio::error::operation_aborted || stopping) return;
    if (!ec) {
      boost::system::error_code ignored;
      admit(std::move(socket), socket.remote_endpoint(ignored));
      return accept();
    }
    accept_pause.expires_after(std::chrono::milliseconds(50));  // no file descriptor is left, for instance
    accept_pause.async_wait([this](const boost::system::error_code& stopped) {
      if (!stopped) accept();
    });
  });
}

void Server::Impl::admit(tcp::socket socket, const tcp::endpoint& peer) {
  const std::string address = peer.address().to_string();
  boost::system::error_code ec;
  socket.non_blocking(true, ec);
  int& of_address = per_address[address];
  if (static_cast<int>(sessions.size()) >= options.connections || of_address >= options.connections_per_address) {
    if (of_address == 0) per_address.erase(address);
    constexpr std::string_view kFull =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
    socket.write_some(boost::asio::buffer(kFull), ec);
    socket.shutdown(tcp::socket::shutdown_send, ec);
    return;
  }
  ++of_address;
  probe_silence(socket);
  const auto session = std::make_shared<Session>(*this, std::move(socket), address);
  sessions.insert(session);
  {
    const std::lock_guard lock(mutex);
    open = static_cast<int>(sessions.size());
  }
  session->start();
}

void Server::Impl::remove(const std::shared_ptr<Session>& session) {
  if (sessions.erase(session) == 0) return;
  const auto it = per_address.find(session->peer());
  if (--it->second == 0) per_address.erase(it);
  const std::lock_guard lock(mutex);
  open = static_cast<int>(sessions.size());
  if (open == 0) emptied.notify_all();
}

void Server::Impl::tick() {
  date = fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(std::time(nullptr)));
  const TimePoint now = Clock::now();
  for (auto it = sessions.begin(); it != sessions.end();) (*it++)->tick(now);  // which may remove itself
  timer.expires_after(options.tick);
  timer.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) tick();
  });
}

void Server::Impl::dispatch(Request request, std::shared_ptr<Responder> responder) {
  boost::asio::post(*handlers, [this, request = std::move(request), responder = std::move(responder)]() mutable {
    const auto current = [&] {
      const std::lock_guard lock(mutex);
      return handler;
    }();
    try {
      (*current)(std::move(request), responder);
    } catch (const std::exception&) {
      responder->send(fault(500, "an internal error"));
    }
  });
}

void Server::Impl::stop(Duration grace) {
  if (!thread.joinable()) return;
  boost::asio::post(io, [this] {
    stopping = true;
    boost::system::error_code ec;
    acceptor.close(ec);
    for (auto it = sessions.begin(); it != sessions.end();) (*it++)->finish();
  });
  {
    std::unique_lock lock(mutex);
    emptied.wait_for(lock, grace, [&] { return open == 0; });
  }
  handlers->stop();
  handlers->join();
  boost::asio::post(io, [this] {
    for (auto it = sessions.begin(); it != sessions.end();) (*it++)->close();
    io.stop();
  });
  thread.join();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(Duration::zero()); }

Result<std::unique_ptr<Server>> Server::start(const std::string& host, int port, const ServerOptions& options, FaultResponse fault,
                                              Handler handler) {
  auto impl = std::make_unique<Impl>(options, std::move(fault), std::move(handler));
  raise_file_limit(options.connections);
  if (Status status = impl->listen(host, port); !status.ok()) return status.error();
  impl->run();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::handle(Handler handler) {
  auto next = std::make_shared<const Handler>(std::move(handler));
  const std::lock_guard lock(impl_->mutex);
  impl_->handler.swap(next);
}

int Server::port() const { return impl_->bound.port(); }

std::string Server::url() const {
  const auto address = impl_->bound.address();
  return address.is_v6() ? fmt::format("http://[{}]:{}", address.to_string(), port())
                         : fmt::format("http://{}:{}", address.to_string(), port());
}

int Server::connections() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->open;
}

void Server::stop(Duration grace) { impl_->stop(grace); }

}  // namespace shardline::launcher::http
