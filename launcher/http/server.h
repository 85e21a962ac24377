// An HTTP server: one I/O thread for every socket, a few threads for handlers, and a bound on everything a client can make it hold.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "launcher/http/http.h"
#include "launcher/http/request_reader.h"

namespace shardline::launcher::http {

struct ServerOptions {
  ReaderLimits reader;
  int handler_threads = 2;
  int connections = 10'000;                              // one more is answered 503 and closed
  int connections_per_address = 4'096;                   // so that one client cannot take them all
  std::size_t body_bytes = 256 << 20;                    // of all bodies in memory; beyond: 503
  Duration idle = std::chrono::seconds(75);              // between requests
  Duration header = std::chrono::seconds(10);            // from a request's first byte to the end of its header; 408
  Duration body = std::chrono::seconds(10);              // after that a body must have come at body_rate; 408
  std::size_t body_rate = 1024;                          // bytes per second
  std::size_t backlog = 256 << 10;                       // bytes of an answer that wait for a slow reader ...
  Duration backlog_patience = std::chrono::seconds(30);  // ... for so long, then the connection is cut
  std::size_t most_backlog = 8 << 20;                    // of a stream of events: cut at once
  Duration comment = std::chrono::seconds(15);           // a silent stream of events gets a comment, so that proxies keep it
  Duration linger = std::chrono::seconds(2);             // reading on after the last answer, so that it is not lost in a reset
  Duration tick = std::chrono::milliseconds(250);        // how often deadlines are looked at
};

class Server {
 public:
  // Listens and starts to answer with `handler`. Errors: unavailable, naming the process that holds the port where it can be seen;
  // usage where the host has no address; io.
  static Result<std::unique_ptr<Server>> start(const std::string& host, int port, const ServerOptions& options, FaultResponse fault,
                                               Handler handler);
  ~Server();  // stop(0)

  void handle(Handler handler);  // for requests from now on
  int port() const;
  std::string url() const;
  int connections() const;

  // Accepts nothing more, lets open answers go out for at most `grace`, then ends every connection. No handler runs afterwards.
  void stop(Duration grace);

  struct Impl;

 private:
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::launcher::http
