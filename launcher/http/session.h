// One connection: requests in, one after another, answers out. Everything happens on the server's I/O thread; responders of other threads
// post to it. A read is always pending, so that a client that leaves is noticed although nothing is being written.
#pragma once
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>

#include "launcher/http/server_impl.h"

namespace shardline::launcher::http {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Server::Impl& server, tcp::socket socket, std::string peer);
  void start();
  void tick(TimePoint now);
  void finish();  // the server stops: ends as soon as no answer is under way
  void close();
  const std::string& peer() const { return peer_; }

  // What the responder of request `serial` asks for.
  bool current(std::uint64_t serial) const { return phase_ == Phase::answering && serial == serial_; }
  bool left(std::uint64_t serial) const { return serial == left_serial_; }
  void send(const Response& response);
  void begin_events();
  void write_event(std::string_view data);
  void end_events();
  void on_gone(std::function<void(std::string_view)> handler) { on_gone_ = std::move(handler); }

 private:
  enum class Phase { idle, header, body, answering, ending, lingering, closed };

  void read();
  void on_readable(const boost::system::error_code& ec);
  void advance();
  void dispatch();
  void answered();
  void refuse(int status, std::string_view message);
  void write_head(const Response& response, std::string_view framing);
  void write_chunk(std::string_view before, std::string_view data, std::string_view after);
  void flush();
  void on_written(const boost::system::error_code& ec, std::size_t bytes);
  void end();
  void gone(std::string_view why);
  void hold_body(std::size_t bytes);
  std::size_t backlog() const { return out_.size() + writing_.size() - written_; }

  Server::Impl& server_;
  tcp::socket socket_;
  const std::string peer_;
  Phase phase_ = Phase::idle;
  TimePoint deadline_{};  // of the phase
  RequestReader reader_;
  std::string in_;             // received, not yet used
  std::string out_, writing_;  // to be written after what is being written
  std::size_t written_ = 0;    // of writing_
  bool reading_ = false, sending_ = false;
  bool keep_alive_ = true, chunked_ = true, head_only_ = false, streaming_ = false, continued_ = false;
  std::size_t held_ = 0;  // body bytes counted in server_.body_bytes
  TimePoint body_since_{}, slow_since_{}, last_event_{};
  std::uint64_t serial_ = 0;       // of the request being answered
  std::uint64_t left_serial_ = 0;  // of the request whose client left
  std::function<void(std::string_view)> on_gone_;
};

}  // namespace shardline::launcher::http
