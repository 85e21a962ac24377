#include "launcher/http/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/unit/launcher/http_client.h"

namespace shardline::launcher::http {
namespace {

using namespace std::chrono_literals;

// Answers by path: /echo, /hold and /events keep their responders for the test, /throw throws, /drop forgets to answer.
struct ServerTest : testing::Test {
  void start() {
    auto started = Server::start("127.0.0.1", 0, options, fault,
                                 [this](Request r, std::shared_ptr<Responder> responder) { handle(std::move(r), std::move(responder)); });
    ASSERT_TRUE(started.ok()) << started.error().message;
    server = std::move(*started);
  }
  void TearDown() override {
    forget_held();
    if (server) server->stop(1s);
  }

  static Response fault(int status, std::string_view message) {
    return {.status = status, .content_type = "text/plain", .body = std::string(message)};
  }

  void handle(Request request, std::shared_ptr<Responder> responder) {
    ++handled;
    if (request.path == "/throw") throw std::runtime_error("secret");
    if (request.path == "/drop") return;
    if (request.path == "/hold" || request.path == "/events") {
      responder->on_gone([this](std::string_view why) {
        const std::lock_guard lock(mutex);
        gone.emplace_back(why);
      });
      if (request.path == "/events") responder->begin_events();
      const std::lock_guard lock(mutex);
      held.push_back(std::move(responder));
      return;
    }
    responder->send({.content_type = "text/plain", .body = request.method + " " + request.path + " " + request.body});
  }

  std::shared_ptr<Responder> wait_held() {
    for (int i = 0; i < 5000; ++i, std::this_thread::sleep_for(1ms)) {
      const std::lock_guard lock(mutex);
      if (!held.empty()) return held.back();
    }
    ADD_FAILURE() << "no request came";
    return nullptr;
  }
  std::string wait_gone() {
    for (int i = 0; i < 5000; ++i, std::this_thread::sleep_for(1ms)) {
      const std::lock_guard lock(mutex);
      if (!gone.empty()) return gone.back();
    }
    return "nobody left";
  }
  void forget_held() {
    std::vector<std::shared_ptr<Responder>> responders;  // which may call the server: without the mutex
    const std::lock_guard lock(mutex);
    responders.swap(held);
  }
  std::size_t count_gone() {
    const std::lock_guard lock(mutex);
    return gone.size();
  }
  template <class Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 5000; ++i, std::this_thread::sleep_for(1ms))
      if (condition()) return true;
    return false;
  }

  ServerOptions options = [] {
    ServerOptions o;
    o.tick = 10ms;
    o.linger = 50ms;
    return o;
  }();
  std::unique_ptr<Server> server;
  std::mutex mutex;
  std::vector<std::shared_ptr<Responder>> held;
  std::vector<std::string> gone;
  std::atomic<int> handled = 0;
};

TEST_F(ServerTest, AnswersOneRequestAfterAnotherOnAConnection) {
  start();
  HttpClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    const std::string answer = client.ask(post("/echo", "body " + std::to_string(i)));
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_EQ(body_of(answer), "POST /echo body " + std::to_string(i));
    EXPECT_NE(answer.find("\r\nDate: "), std::string::npos);
  }
  EXPECT_EQ(server->connections(), 1);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  HttpClient client(server->port());
  std::string all;
  for (int i = 0; i < 200; ++i) all += post("/echo", std::to_string(i));
  ASSERT_TRUE(client.send("\r\n" + all));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(body_of(client.read_answer()), "POST /echo " + std::to_string(i));
}

TEST_F(ServerTest, HeadHasNoBody) {
  start();
  HttpClient client(server->port());
  client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Length: 11"), std::string::npos);
  EXPECT_EQ(body_of(client.ask(get("/next"))), "GET /next ");
}

TEST_F(ServerTest, ClosesWhereAskedTo) {
  start();
  HttpClient client(server->port());
  client.send("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read_all().find("Connection: close"), std::string::npos);
  EXPECT_TRUE(client.closed());
  HttpClient old(server->port());
  old.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(status_of(old.read_all()), 200);
  EXPECT_TRUE(old.closed());
}

TEST_F(ServerTest, SendsContinueWhereTheClientWaits) {
  start();
  HttpClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(body_of(client.ask("hello")), "POST /echo hello");
}

TEST_F(ServerTest, RefusesBrokenRequestsAndCloses) {
  start();
  const std::pair<int, std::string> kCases[] = {
      {400, "NONSENSE\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n" + std::string(100'000, 'x')},
      {414, "GET /" + std::string(10'000, 'x')},
      {431, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'x')},
      {505, "GET / HTTP/2.0\r\n\r\n"},
  };
  for (const auto& [status, bytes] : kCases) {
    HttpClient client(server->port());
    client.send(bytes);
    const std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), status) << bytes.substr(0, 100);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos);
    client.read_all();
    EXPECT_TRUE(client.closed());
  }
  EXPECT_EQ(handled, 0);
}

TEST_F(ServerTest, RequestsThatDoNotArriveAreCut) {
  options.header = 50ms;
  options.body = 50ms;
  options.idle = 100ms;
  start();
  HttpClient header(server->port()), body(server->port()), idle(server->port());
  header.send("GET / HTTP/1.1\r\nHo");
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(status_of(header.read_all()), 408);
  EXPECT_EQ(status_of(body.read_all()), 408);
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_TRUE(idle.closed());
}

TEST_F(ServerTest, ABodyThatTricklesFastEnoughArrives) {
  options.body = 100ms;
  options.body_rate = 10;
  start();
  HttpClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n");
  for (const char c : std::string_view("12345678")) {
    client.send(std::string_view(&c, 1));
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(body_of(client.read_answer()), "POST /echo 12345678");
}

TEST_F(ServerTest, BoundsBodiesInMemory) {
  options.body_bytes = 100'000;
  start();
  HttpClient first(server->port());
  first.send(post("/hold", std::string(90'000, 'a')));
  wait_held();
  HttpClient second(server->port());
  second.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + std::string(40'000, 'b'));
  EXPECT_EQ(status_of(second.read_answer()), 503);
  wait_held()->send({.body = "done"});
  EXPECT_EQ(status_of(first.read_answer()), 200);
  HttpClient third(server->port());
  EXPECT_EQ(status_of(third.ask(post("/echo", std::string(40'000, 'c')))), 200);
}

TEST_F(ServerTest, BoundsConnections) {
  options.connections = 2;
  start();
  HttpClient one(server->port()), two(server->port());
  one.ask(get("/a"));
  two.ask(get("/b"));
  HttpClient three(server->port());
  EXPECT_EQ(status_of(three.read_all()), 503);
}

TEST_F(ServerTest, HandlersThatFailAnswer500WithoutSecrets) {
  start();
  HttpClient client(server->port());
  for (const char* path : {"/throw", "/drop"}) {
    const std::string answer = client.ask(get(path));
    EXPECT_EQ(status_of(answer), 500);
    EXPECT_EQ(answer.find("secret"), std::string::npos);
  }
}

TEST_F(ServerTest, StreamsEvents) {
  start();
  HttpClient client(server->port());
  client.send(get("/events"));
  const auto responder = wait_held();
  EXPECT_NE(client.read_until("\r\n\r\n").find("Content-Type: text/event-stream"), std::string::npos);
  responder->write_event("one");
  EXPECT_EQ(client.read_until("\n\n\r\n"), "b\r\ndata: one\n\n\r\n");
  responder->run([&] { responder->write_event("two"); });
  EXPECT_EQ(client.read_until("\n\n\r\n"), "b\r\ndata: two\n\n\r\n");
  responder->end_events();
  EXPECT_EQ(client.read_until("0\r\n\r\n"), "0\r\n\r\n");
  responder->write_event("too late");
  EXPECT_EQ(body_of(client.ask(get("/next"))), "GET /next ");
}

TEST_F(ServerTest, StreamsToOldClientsUntilTheEndOfTheConnection) {
  start();
  HttpClient client(server->port());
  client.send("GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto responder = wait_held();
  responder->write_event("one");
  responder->end_events();
  const std::string answer = client.read_all();
  EXPECT_EQ(answer.find("chunked"), std::string::npos);
  EXPECT_EQ(body_of(answer), "data: one\n\n");
}

TEST_F(ServerTest, SilentStreamsGetComments) {
  options.comment = 20ms;
  start();
  HttpClient client(server->port());
  client.send(get("/events"));
  EXPECT_NE(client.read_until("3\r\n:\n\n\r\n").find("3\r\n:\n\n\r\n"), std::string::npos);
}

TEST_F(ServerTest, NoticesThatAClientLeft) {
  start();
  for (const char* path : {"/hold", "/events"}) {
    {
      HttpClient client(server->port());
      client.send(get(path));
      wait_held();
    }
    EXPECT_EQ(wait_gone(), "client gone") << path;
    EXPECT_EQ(count_gone(), 1u);
    forget_held();
    const std::lock_guard lock(mutex);
    gone.clear();
  }
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
}

TEST_F(ServerTest, ClientsThatAreAnsweredDoNotCountAsLeft) {
  start();
  {
    HttpClient client(server->port());
    client.send(get("/hold"));
    wait_held()->send({.body = "x"});
    client.read_answer();
  }
  EXPECT_TRUE(eventually([&] { return server->connections() == 0; }));
  EXPECT_EQ(count_gone(), 0u);
}

TEST_F(ServerTest, CutsASlowReader) {
  options.backlog = 10'000;
  options.backlog_patience = 100ms;
  start();
  HttpClient slow(server->port(), 4096), quick(server->port());
  slow.send(get("/events"));
  const auto responder = wait_held();
  const std::string data(10'000, 'x');
  for (int i = 0; i < 2000 && count_gone() == 0; ++i) {
    responder->write_event(data);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(wait_gone(), "slow reader");
  EXPECT_EQ(body_of(quick.ask(get("/next"))), "GET /next ");
}

TEST_F(ServerTest, CutsAReaderWhoseBacklogGrowsTooLarge) {
  options.most_backlog = 1 << 20;
  start();
  HttpClient slow(server->port(), 4096);
  slow.send(get("/events"));
  const auto responder = wait_held();
  for (int i = 0; i < 200; ++i) responder->write_event(std::string(100'000, 'x'));
  EXPECT_EQ(wait_gone(), "slow reader");
}

TEST_F(ServerTest, LargeAnswersArriveWhole) {
  start();
  HttpClient client(server->port(), 4096);
  const std::string body(8 << 20, 'z');
  EXPECT_EQ(body_of(client.ask(post("/echo", body))).size(), body.size() + 11);
}

TEST_F(ServerTest, StopLetsAnswersGoOut) {
  start();
  HttpClient client(server->port()), idle(server->port());
  idle.ask(get("/a"));
  client.send(get("/hold"));
  const auto responder = wait_held();
  std::thread stopper([&] { server->stop(10s); });
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(idle.read_all(), "");
  responder->send({.body = "last words"});
  EXPECT_EQ(body_of(client.read_answer()), "last words");
  client.read_all();
  EXPECT_TRUE(client.closed());
  stopper.join();
}

TEST_F(ServerTest, StopEndsWhatDoesNotEndByItself) {
  start();
  HttpClient client(server->port());
  client.send(get("/events"));
  wait_held();
  server->stop(20ms);
  client.read_all();
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, ABusyPortNamesItsHolder) {
  start();
  const auto second = Server::start("127.0.0.1", server->port(), {}, fault, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
  EXPECT_NE(second.error().message.find("by pid " + std::to_string(getpid()) + " ("), std::string::npos) << second.error().message;
}

TEST_F(ServerTest, AHostWithoutAddressIsAUsageError) {
  const auto bad = Server::start("no.such.host.invalid", 0, {}, fault, {});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::usage);
}

TEST_F(ServerTest, ManyConnectionsAtOnce) {
  start();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        HttpClient client(server->port());
        const std::string body = std::to_string(t * 1000 + i);
        right += body_of(client.ask(post("/echo", body))) == "POST /echo " + body;
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 400);
}

}  // namespace
}  // namespace shardline::launcher::http
