// What the sessions of a server share. Touched on the I/O thread unless said otherwise.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "launcher/http/server.h"

namespace shardline::launcher::http {

using boost::asio::ip::tcp;
class Session;

struct Server::Impl {
  Impl(const ServerOptions& o, FaultResponse f, Handler h);
  Status listen(const std::string& host, int port);
  void run();
  void stop(Duration grace);

  void accept();
  void admit(tcp::socket socket, const tcp::endpoint& peer);
  void tick();
  void remove(const std::shared_ptr<Session>& session);
  void dispatch(Request request, std::shared_ptr<Responder> responder);  // to a handler thread

  const ServerOptions options;
  const FaultResponse fault;
  std::string date;            // field of every answer, renewed each tick
  std::size_t body_bytes = 0;  // of all requests in memory
  bool stopping = false;
  std::array<char, 64 * 1024> scratch;  // one read at a time

  boost::asio::io_context io{1};
  tcp::acceptor acceptor{io};
  tcp::endpoint bound;  // fixed before the thread starts
  boost::asio::steady_timer timer{io}, accept_pause{io};
  std::set<std::shared_ptr<Session>> sessions;
  std::map<std::string, int> per_address;

  std::mutex mutex;  // of what follows
  std::condition_variable emptied;
  int open = 0;  // sessions.size()
  std::shared_ptr<const Handler> handler;

  std::thread thread;
  std::unique_ptr<boost::asio::thread_pool> handlers;
};

}  // namespace shardline::launcher::http
