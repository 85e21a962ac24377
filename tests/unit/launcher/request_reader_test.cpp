#include "launcher/http/request_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace shardline::launcher::http {
namespace {

using State = RequestReader::State;

struct Outcome {
  State state;
  int status = 0;
  Request request{};
  std::string rest{};
};

// Feeds the bytes in pieces of at most `piece`, as a connection does.
Outcome read(std::string_view bytes, std::size_t piece = 1 << 20, const ReaderLimits& limits = {}) {
  RequestReader reader(limits);
  std::string in;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view next = bytes.substr(at, piece);
    at += next.size();
    in += next;
    in.erase(0, reader.feed(in));
    if (reader.state() == State::failed) return {State::failed, reader.fault_status()};
    if (reader.state() == State::done) return {State::done, 0, reader.take(), in + std::string(bytes.substr(at))};
  }
  return {reader.state()};
}

std::string post(std::string_view fields, std::string_view body) {
  return fmt::format("POST /p HTTP/1.1\r\nHost: a\r\n{}\r\n{}", fields, body);
}

TEST(RequestReader, ReadsRequestsHoweverTheyAreCut) {
  const std::string text = post("Content-Length: 5\r\nX-Field:  a b \r\n", "hello") + "GET /next";
  for (const std::size_t piece : {1, 2, 3, 7, 1000}) {
    const Outcome o = read(text, piece);
    ASSERT_EQ(o.state, State::done) << "pieces of " << piece;
    EXPECT_EQ(o.request.method, "POST");
    EXPECT_EQ(o.request.path, "/p");
    EXPECT_EQ(o.request.field("x-FIELD"), "a b");
    EXPECT_EQ(o.request.body, "hello");
    EXPECT_EQ(o.rest, "GET /next");
  }
}

TEST(RequestReader, ReadsChunksHoweverTheyAreCut) {
  const std::string text = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n") + "rest";
  for (const std::size_t piece : {1, 2, 3, 5, 1000}) {
    const Outcome o = read(text, piece);
    ASSERT_EQ(o.state, State::done) << "pieces of " << piece;
    EXPECT_EQ(o.request.body, "abc0123456789");
    EXPECT_EQ(o.rest, "rest");
  }
}

TEST(RequestReader, SplitsTargets) {
  const auto target = [](std::string_view t) { return read(fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", t)).request; };
  EXPECT_EQ(target("/a?b=c?d").path, "/a");
  EXPECT_EQ(target("/a?b=c?d").query, "b=c?d");
  EXPECT_EQ(target("http://host:80/a/b?q").path, "/a/b");
  EXPECT_EQ(target("http://host").path, "/");
}

TEST(RequestReader, KnowsWhetherTheConnectionGoesOn) {
  const auto keeps = [](std::string_view text) {
    RequestReader reader({});
    reader.feed(text);
    EXPECT_EQ(reader.state(), State::done);
    return reader.keep_alive();
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestReader, TellsWhoWaitsToContinue) {
  RequestReader reader({});
  reader.feed(post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""));
  EXPECT_EQ(reader.state(), State::body);
  EXPECT_TRUE(reader.expects_continue());
}

// What is refused, and with which status.
TEST(RequestReader, RefusesBrokenFraming) {
  const struct {
    int status;
    std::string text;
  } kCases[] = {
      {400, "\x16\x03\x01\x02\r\n\r\n"},
      {400, "GET\r\n\r\n"},
      {400, "GET /\r\n\r\n"},
      {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {400, "GET / HTTP/x.y\r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
      {505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"},
      {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"},  // no Host
      {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\nHost: a\n\n"},  // bare LF
      {400, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tfolded\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},  // space before the colon
      {400, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\n: nameless\r\n\r\n"},
      {400, std::string("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 33)},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
      {400, post("Content-Length: -1\r\n", "")},
      {400, post("Content-Length: +1\r\n", "a")},
      {400, post("Content-Length: 1x\r\n", "a")},
      {400, post("Content-Length: 0x10\r\n", "a")},
      {400, post("Content-Length: 99999999999999999999\r\n", "a")},
      {400, post("Content-Length:\r\n", "a")},
      {400, post("Content-Length: 1\r\nContent-Length: 1\r\n", "a")},
      {400, post("Content-Length: 1\r\nContent-Length: 2\r\n", "a")},
      {400, post("Content-Length: 1, 2\r\n", "a")},
      {400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {400, post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
      {400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {400, post("Transfer-Encoding: chunked, gzip\r\n", "")},
      {400, post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {400, post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n")},
      {400, post("Transfer-Encoding: xchunked\r\n", "")},
      {501, post("Transfer-Encoding: gzip\r\n", "")},
      {501, post("Transfer-Encoding: identity\r\n", "")},
      {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {417, post("Content-Length: 1\r\nExpect: money\r\n", "a")},
      {400, post("Transfer-Encoding: chunked\r\n", "x\r\n")},
      {400, post("Transfer-Encoding: chunked\r\n", "-1\r\n")},
      {400, post("Transfer-Encoding: chunked\r\n", "3\nabc\r\n")},
      {400, post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n")},
      {400, post("Transfer-Encoding: chunked\r\n", "11111111111111111\r\n")},
      {400, post("Transfer-Encoding: chunked\r\n", "3 \x01\r\nabc\r\n")},
  };
  for (const auto& [status, text] : kCases) {
    for (const std::size_t piece : {1, 1000}) {
      const Outcome o = read(text, piece);
      EXPECT_EQ(o.state, State::failed) << text;
      EXPECT_EQ(o.status, status) << text;
    }
  }
}

TEST(RequestReader, BoundsEverything) {
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(read("GET /" + std::string(9000, 'a')).status, 414);
  EXPECT_EQ(read("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n").status, 414);
  EXPECT_EQ(read("GET /" + std::string(8100, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n").state, State::done);
  EXPECT_EQ(read(get + "X: " + std::string(33'000, 'a')).status, 431);
  EXPECT_EQ(read(get + "X: " + std::string(31'000, 'a') + "\r\n\r\n").state, State::done);
  std::string many = get;
  for (int i = 0; i < 99; ++i) many += "X: y\r\n";
  EXPECT_EQ(read(many + "\r\n").state, State::done);
  EXPECT_EQ(read(many + "X: y\r\n\r\n").status, 431);
  EXPECT_EQ(read(post("Content-Length: 16777217\r\n", "")).status, 413);
  EXPECT_EQ(read(post("Content-Length: 16777216\r\n", "")).state, State::body);
  EXPECT_EQ(read(post("Transfer-Encoding: chunked\r\n", "1000001\r\n")).status, 413);
  EXPECT_EQ(read(post("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFF\r\n")).status, 413);
  EXPECT_EQ(read(post("Transfer-Encoding: chunked\r\n", "3;" + std::string(20'000, 'x'))).status, 400);

  ReaderLimits few;
  few.chunks = 10;
  few.body_bytes = 100;
  std::string chunks;
  for (int i = 0; i < 10; ++i) chunks += "1\r\na\r\n";
  EXPECT_EQ(read(post("Transfer-Encoding: chunked\r\n", chunks + "1\r\na\r\n"), 1000, few).status, 413);
  std::string large;
  for (int i = 0; i < 3; ++i) large += "28\r\n" + std::string(40, 'a') + "\r\n";
  EXPECT_EQ(read(post("Transfer-Encoding: chunked\r\n", large), 1000, few).status, 413);
}

// Whatever arrives, the reader ends in one of its states and takes no more than it was given.
TEST(RequestReader, SurvivesMutations) {
  const std::string seeds[] = {post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
                               post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), "GET http://a/b?c HTTP/1.0\r\n\r\n"};
  std::mt19937 random(1);
  int done = 0, failed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[random() % 3];
    for (unsigned i = 0; i < random() % 4; ++i) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.insert(at, 1, "\r\n:, \0a0"[random() % 8]); break;
        case 2: text.erase(at, 1 + random() % 3); break;
      }
    }
    const Outcome o = read(text, 1 + random() % 40);
    done += o.state == State::done;
    failed += o.state == State::failed;
  }
  EXPECT_GT(done, 1000);
  EXPECT_GT(failed, 1000);
}

}  // namespace
}  // namespace shardline::launcher::http
