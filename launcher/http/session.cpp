#include "launcher/http/session.h"

#include <fmt/format.h>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>

namespace shardline::launcher::http {
namespace {

constexpr std::size_t kReadAhead = 64 * 1024;  // of pipelined requests while one is being answered

class SessionResponder final : public Responder {
 public:
  SessionResponder(Server::Impl& server, std::shared_ptr<Session> session, std::uint64_t serial)
      : server_(server), session_(std::move(session)), serial_(serial) {}
  ~SessionResponder() override {
    call([fault = server_.fault](Session& s) { s.send(fault(500, "the request was given up")); });
  }

  void send(Response response) override {
    call([r = std::move(response)](Session& s) { s.send(r); });
  }
  void begin_events() override {
    call([](Session& s) { s.begin_events(); });
  }
  void write_event(std::string_view data) override {
    if (here()) return session_->current(serial_) ? session_->write_event(data) : void();
    call([d = std::string(data)](Session& s) { s.write_event(d); });
  }
  void end_events() override {
    call([](Session& s) { s.end_events(); });
  }
  void run(std::function<void()> work) override { boost::asio::dispatch(server_.io, std::move(work)); }
  void on_gone(std::function<void(std::string_view)> handler) override {
    boost::asio::dispatch(server_.io, [session = session_, serial = serial_, handler = std::move(handler)] {
      if (session->current(serial)) return session->on_gone(handler);
      if (session->left(serial)) handler("client gone");
    });
  }

 private:
  bool here() const { return server_.io.get_executor().running_in_this_thread(); }
  template <class Work>
  void call(Work work) {
    boost::asio::dispatch(server_.io, [session = session_, serial = serial_, work = std::move(work)] {
      if (session->current(serial)) work(*session);
    });
  }

  Server::Impl& server_;
  const std::shared_ptr<Session> session_;
  const std::uint64_t serial_;
};

}  // namespace

Session::Session(Server::Impl& server, tcp::socket socket, std::string peer)
    : server_(server), socket_(std::move(socket)), peer_(std::move(peer)), reader_(server.options.reader) {}

void Session::start() {
  deadline_ = Clock::now() + server_.options.idle;
  read();
}

// Reading ----------------------------------------------------------------------------------------------------------------------

void Session::read() {
  if (reading_ || phase_ == Phase::closed || (phase_ == Phase::answering && in_.size() >= kReadAhead)) return;
  reading_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const boost::system::error_code& ec) {
    self->reading_ = false;
    if (self->phase_ != Phase::closed) self->on_readable(ec);
  });
}

void Session::on_readable(const boost::system::error_code& waited) {
  boost::system::error_code ec = waited;
  const std::size_t bytes = ec ? 0 : socket_.read_some(boost::asio::buffer(server_.scratch), ec);
  if (ec == boost::asio::error::would_block) return read();
  if (ec && phase_ == Phase::ending) return;  // the client has said all it will, but may still listen
  if (ec) return gone("client gone");
  if (phase_ != Phase::lingering && phase_ != Phase::ending) {
    in_.append(server_.scratch.data(), bytes);
    if (phase_ != Phase::answering) advance();
  }
  read();
}

// Feeds the reader with what is there and follows it from phase to phase.
void Session::advance() {
  const ServerOptions& o = server_.options;
  if (phase_ == Phase::idle) {
    while (in_.starts_with("\r\n")) in_.erase(0, 2);  // RFC 9112, section 2.2
    if (in_.empty()) return;
    phase_ = Phase::header;
    deadline_ = Clock::now() + o.header;
  }
  in_.erase(0, reader_.feed(in_));
  hold_body(reader_.body_bytes());
  switch (reader_.state()) {
    case RequestReader::State::header: return;
    case RequestReader::State::done: return dispatch();
    case RequestReader::State::failed: return refuse(reader_.fault_status(), reader_.fault_message());
    case RequestReader::State::body: break;
  }
  if (server_.body_bytes > o.body_bytes) return refuse(503, "too many requests are being received");
  if (phase_ == Phase::header) {
    phase_ = Phase::body;
    body_since_ = Clock::now();
    if (reader_.expects_continue() && in_.empty() && reader_.body_bytes() == 0) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      flush();
    }
  }
  deadline_ = body_since_ + o.body + std::chrono::milliseconds(reader_.body_bytes() * 1000 / o.body_rate);
}

void Session::hold_body(std::size_t bytes) {
  server_.body_bytes += bytes - held_;
  held_ = bytes;
}

void Session::dispatch() {
  phase_ = Phase::answering;
  keep_alive_ = reader_.keep_alive();
  chunked_ = reader_.chunks_allowed();
  Request request = reader_.take();
  request.peer = peer_;
  head_only_ = request.method == "HEAD";
  server_.dispatch(std::move(request), std::make_shared<SessionResponder>(server_, shared_from_this(), ++serial_));
}

// Answering --------------------------------------------------------------------------------------------------------------------

void Session::write_head(const Response& response, std::string_view framing) {
  const std::string_view connection = !keep_alive_ ? "Connection: close\r\n" : chunked_ ? "" : "Connection: keep-alive\r\n";
  fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\n{}{}{}", response.status, reason_phrase(response.status), server_.date,
                 connection, framing);
  if (!response.content_type.empty()) fmt::format_to(std::back_inserter(out_), "Content-Type: {}\r\n", response.content_type);
  for (const auto& [name, value] : response.fields) fmt::format_to(std::back_inserter(out_), "{}: {}\r\n", name, value);
  out_ += "\r\n";
}

void Session::send(const Response& response) {
  if (streaming_) return gone("given up");  // too late for a status: the stream breaks off
  keep_alive_ = keep_alive_ && !server_.stopping;
  write_head(response, fmt::format("Content-Length: {}\r\n", response.body.size()));
  if (!head_only_) out_ += response.body;
  answered();
}

void Session::begin_events() {
  streaming_ = true;
  keep_alive_ = keep_alive_ && chunked_ && !server_.stopping;  // before chunks only the end of the connection ends a stream
  write_head({200, "text/event-stream; charset=utf-8", "", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}},
             chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
  last_event_ = Clock::now();
  flush();
}

void Session::write_event(std::string_view data) { write_chunk("data: ", data, "\n\n"); }

void Session::write_chunk(std::string_view before, std::string_view data, std::string_view after) {
  if (!streaming_) return;
  if (chunked_) fmt::format_to(std::back_inserter(out_), "{:x}\r\n", before.size() + data.size() + after.size());
  out_.append(before).append(data).append(after);
  if (chunked_) out_ += "\r\n";
  last_event_ = Clock::now();
  flush();
  if (backlog() > server_.options.most_backlog)
    gone("slow reader");
  else if (backlog() <= server_.options.backlog)
    slow_since_ = {};
  else if (slow_since_ == TimePoint{})
    slow_since_ = last_event_;
}

void Session::end_events() {
  if (!streaming_) return;
  if (chunked_) out_ += "0\r\n\r\n";
  answered();
}

// The answer is complete, though not yet written: on to the next request.
void Session::answered() {
  streaming_ = false;
  on_gone_ = nullptr;
  slow_since_ = {};
  hold_body(0);
  if (!keep_alive_) return end();
  reader_ = RequestReader(server_.options.reader);
  phase_ = Phase::idle;
  deadline_ = Clock::now() + server_.options.idle;
  flush();
  if (phase_ == Phase::idle && !in_.empty()) advance();
  read();
}

void Session::refuse(int status, std::string_view message) {
  keep_alive_ = false;
  head_only_ = false;
  send(server_.fault(status, message));
}

void Session::flush() {
  if (sending_ || phase_ == Phase::closed) return;
  if (written_ == writing_.size()) {
    writing_.clear();
    writing_.swap(out_);
    written_ = 0;
  }
  if (writing_.empty()) {
    if (phase_ == Phase::ending) {
      boost::system::error_code ec;
      socket_.shutdown(tcp::socket::shutdown_send, ec);
      phase_ = Phase::lingering;
      deadline_ = Clock::now() + server_.options.linger;
      read();
    }
    return;
  }
  sending_ = true;
  socket_.async_write_some(
      boost::asio::buffer(writing_.data() + written_, writing_.size() - written_),
      [self = shared_from_this()](const boost::system::error_code& ec, std::size_t bytes) { self->on_written(ec, bytes); });
}

void Session::on_written(const boost::system::error_code& ec, std::size_t bytes) {
  sending_ = false;
  if (phase_ == Phase::closed) return;
  if (ec) return gone("client gone");
  written_ += bytes;
  if (backlog() <= server_.options.backlog) slow_since_ = {};
  flush();
}

// Ending -----------------------------------------------------------------------------------------------------------------------

// Nothing more is answered: writes what is left, then reads on for a while so that a reset does not overtake the answer.
void Session::end() {
  phase_ = Phase::ending;
  deadline_ = Clock::now() + server_.options.backlog_patience;
  in_.clear();
  flush();
  read();
}

void Session::gone(std::string_view why) {
  if (phase_ == Phase::answering) left_serial_ = serial_;
  auto handler = std::exchange(on_gone_, nullptr);
  close();
  if (handler) handler(why);
}

void Session::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  on_gone_ = nullptr;
  hold_body(0);
  boost::system::error_code ec;
  socket_.close(ec);
  server_.remove(shared_from_this());
}

void Session::finish() {
  keep_alive_ = false;
  if (phase_ == Phase::idle && backlog() > 0) return end();
  if (phase_ != Phase::answering && phase_ != Phase::ending) close();
}

void Session::tick(TimePoint now) {
  const ServerOptions& o = server_.options;
  if (phase_ == Phase::answering) {
    if (slow_since_ != TimePoint{} && now - slow_since_ > o.backlog_patience) return gone("slow reader");
    if (streaming_ && now - last_event_ > o.comment) write_chunk(":", "", "\n\n");
    return;
  }
  if (now < deadline_) return;
  if (phase_ == Phase::header || phase_ == Phase::body) return refuse(408, "the request did not arrive in time");
  close();
}

}  // namespace shardline::launcher::http
