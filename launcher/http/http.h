// HTTP as the rest of the launcher sees it: plain values and one narrow interface. No library's header is named here.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardline::launcher::http {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;   // without the query
  std::string query;  // behind the '?'; not decoded
  Fields fields;      // in the order of arrival
  std::string body;
  std::string peer;  // address of the client

  std::string_view field(std::string_view name) const;  // of the first such field, names compared without case; empty where absent
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  Fields fields{};
};

// The way back to the client of one request. Any thread may call any method, and calls from one thread keep their order. What arrives
// after the client went away is dropped. A responder that dies without an answer answers 500.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void send(Response response) = 0;             // the whole answer
  virtual void begin_events() = 0;                      // 200 and a stream of server-sent events (WHATWG HTML, section 9.2)
  virtual void write_event(std::string_view data) = 0;  // data holds no line break
  virtual void end_events() = 0;
  virtual void run(std::function<void()> work) = 0;  // on the thread that writes, so that many streams are formatted there
  // Called at most once, on that thread, when the client is gone before its answer is complete. `why` is for the log.
  virtual void on_gone(std::function<void(std::string_view why)> handler) = 0;
};

// Answers a request, now or later. Called on one of the server's handler threads.
using Handler = std::function<void(Request, std::shared_ptr<Responder>)>;

// The answer to what never became a request (broken framing, a limit, a deadline).
using FaultResponse = std::function<Response(int status, std::string_view message)>;

std::string_view reason_phrase(int status);
bool equal_without_case(std::string_view a, std::string_view b);

}  // namespace shardline::launcher::http
