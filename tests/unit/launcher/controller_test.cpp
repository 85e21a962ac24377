#include "launcher/controller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "launcher/metrics/metrics.h"
#include "tests/unit/launcher/fake_engine.h"

namespace shardline::launcher {
namespace {

using scheduler::Finish;
using namespace std::chrono_literals;

// What a sink heard, choice by choice.
class Heard {
 public:
  struct Choice {
    std::string text, stop_reason, error;
    std::vector<TokenId> tokens;
    Finish finish = Finish::none;
    int events = 0;
  };

  Sink sink() {
    return [this](GenerateEvent e) {
      const std::lock_guard lock(mutex_);
      Choice& c = choices_[e.choice];
      EXPECT_EQ(c.finish, Finish::none) << "an event after the end";
      c.text += e.text;
      for (const SampleResult& t : e.tokens) c.tokens.push_back(t.token);
      c.finish = e.finish;
      c.stop_reason = e.stop_reason;
      c.error = e.error;
      ++c.events;
      changed_.notify_all();
    };
  }

  // The choices, when so many have ended.
  std::map<int, Choice> wait(int ended = 1) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(
        lock, 10s, [&] { return ended <= std::ranges::count_if(choices_, [](const auto& c) { return c.second.finish != Finish::none; }); });
    EXPECT_TRUE(came) << "no end within ten seconds";
    return choices_;
  }
  void wait_for_events(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return choices_[0].events >= count; }));
  }
  int events() {
    const std::lock_guard lock(mutex_);
    int sum = 0;
    for (const auto& [i, c] : choices_) sum += c.events;
    return sum;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Choice> choices_;
};

GenerateRequest asking(std::string_view prompt, int max_tokens) {
  GenerateRequest request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.max_tokens = max_tokens;
  return request;
}

struct ControllerTest : testing::Test {
  Controller::Options options() {
    Controller::Options o{.limits = small_limits(), .eos = {kImEnd}, .metrics = &metrics};
    return o;
  }
  const Tokenizer tokenizer = byte_tokenizer();
  Metrics metrics{"shardline_", "test", 256};
  Heard heard;
};

TEST_F(ControllerTest, TurnsTokensIntoText) {
  FakeExecutor executor(says("grüße, 世界", 3));
  Controller controller(executor, &tokenizer, options());
  ASSERT_TRUE(controller.submit(asking("abc", 100), heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.text, "grüße, 世界");
  EXPECT_EQ(choice.finish, Finish::stop);
  EXPECT_EQ(choice.stop_reason, "");
  ASSERT_EQ(choice.tokens.size(), std::string("grüße, 世界").size() + 1);
  EXPECT_EQ(choice.tokens.back(), kImEnd);
}

TEST_F(ControllerTest, EndsAtMaxTokensWithHalfACharacterReplaced) {
  FakeExecutor executor(says("aü", 1));
  Controller controller(executor, &tokenizer, options());
  ASSERT_TRUE(controller.submit(asking("x", 2), heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.text, "a\uFFFD");
  EXPECT_EQ(choice.finish, Finish::length);
  EXPECT_EQ(choice.tokens.size(), 2u);
}

TEST_F(ControllerTest, StopStringsEndTheTextBeforeThem) {
  FakeExecutor executor(says("one two three four five six seven eight", 1));
  Controller controller(executor, &tokenizer, options());
  GenerateRequest request = asking("x", 100);
  request.stop = {"three", "zzz"};
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.text, "one two ");
  EXPECT_EQ(choice.finish, Finish::stop);
  EXPECT_EQ(choice.stop_reason, "three");
  EXPECT_EQ(choice.tokens.size(), 13u);
  controller.drain(10s);
  EXPECT_LE(executor.rows, 1 + 13 + 2) << "the scheduler went on after the stop string";
}

TEST_F(ControllerTest, TextHeldBackComesAtTheEnd) {
  FakeExecutor executor(says("thr", 1));
  Controller controller(executor, &tokenizer, options());
  GenerateRequest request = asking("x", 100);
  request.stop = {"three"};
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.text, "thr");
  EXPECT_EQ(choice.events, 1);
  EXPECT_EQ(choice.tokens.size(), 4u);
}

TEST_F(ControllerTest, IgnoresTheEndWhereAsked) {
  FakeExecutor executor(says("ab", 1));
  Controller controller(executor, &tokenizer, options());
  GenerateRequest request = asking("x", 10);
  request.ignore_eos = true;
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.text, "ab");
  EXPECT_EQ(choice.tokens.size(), 10u);
  EXPECT_EQ(choice.finish, Finish::length);
}

TEST_F(ControllerTest, ChoicesAreRequestsOfTheirOwnSeed) {
  FakeExecutor executor;
  Controller controller(executor, &tokenizer, options());
  GenerateRequest request = asking("a prompt of more than one block of KV", 20);
  request.n = 5;
  request.sampling.temperature = 1;
  request.sampling.seed = 7;
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  const auto choices = heard.wait(5);
  ASSERT_EQ(choices.size(), 5u);
  for (const auto& [i, choice] : choices) {
    EXPECT_EQ(choice.text.size(), 20u);
    EXPECT_EQ(choice.text == choices.at(0).text, i == 0);
  }
}

TEST_F(ControllerTest, WithoutTextTokensComeOneByOne) {
  FakeExecutor executor;
  Controller controller(executor, nullptr, options());
  GenerateRequest request = asking("x", 6);
  request.text = false;
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  const auto choice = heard.wait()[0];
  EXPECT_EQ(choice.tokens.size(), 6u);
  EXPECT_EQ(choice.events, 6);
  EXPECT_EQ(choice.text, "");
}

TEST_F(ControllerTest, ManyAtOnceAnswerAsAlone) {
  FakeExecutor executor;
  auto o = options();
  o.limits.max_queue = 1000;
  Controller controller(executor, &tokenizer, o);
  std::deque<Heard> all(120);
  std::vector<std::thread> clients;
  for (std::size_t c = 0; c < 4; ++c)
    clients.emplace_back([&, c] {
      for (std::size_t i = c; i < all.size(); i += 4) {
        GenerateRequest request = asking("prompt", 1 + static_cast<int>(i % 30));
        ASSERT_TRUE(controller.submit(request, all[i].sink()).ok());
      }
    });
  for (std::thread& t : clients) t.join();
  const std::string longest = all[29].wait()[0].text;
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].wait()[0].text, longest.substr(0, 1 + i % 30));
}

TEST_F(ControllerTest, CancelIsHeardByTheSchedulerAndNotByTheSink) {
  FakeExecutor executor(hashed_letter, 2, 1ms);
  Controller controller(executor, &tokenizer, options());
  const auto id = controller.submit(asking("x", 200), heard.sink());
  ASSERT_TRUE(id.ok());
  heard.wait_for_events(3);
  controller.cancel(*id);
  const int events = heard.events();
  controller.cancel(*id);
  controller.cancel(12345);
  controller.drain(10s);
  EXPECT_EQ(heard.events(), events);
  EXPECT_LT(executor.rows, 150);
  for (int i = 0; i < 5000 && controller.stats().blocks_used > 0; ++i) std::this_thread::sleep_for(1ms);  // the plan in flight comes back
  EXPECT_EQ(controller.stats().blocks_used, 0);
  EXPECT_NE(metrics.text(controller.stats()).find("finished_reason=\"abort\",model_name=\"test\"} 1"), std::string::npos);
}

TEST_F(ControllerTest, ASinkMayCancelItsOwnRequest) {
  FakeExecutor executor;
  Controller controller(executor, &tokenizer, options());
  int events = 0;
  std::uint64_t own = 0;
  std::mutex known;
  known.lock();
  const auto id = controller.submit(asking("x", 200), [&](GenerateEvent) {
    const std::lock_guard lock(known);
    ++events;
    controller.cancel(own);
  });
  own = *id;
  known.unlock();
  controller.drain(10s);
  EXPECT_EQ(events, 1);
}

TEST_F(ControllerTest, RefusesWhatDoesNotFit) {
  FakeExecutor executor;
  Controller controller(executor, &tokenizer, options());
  const auto too_long = controller.submit(asking("x", 256), heard.sink());
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(too_long.error().param, "max_tokens");
  EXPECT_EQ(controller.submit(asking("", 5), heard.sink()).error().code, ErrorCode::invalid_argument);
}

TEST_F(ControllerTest, AFullQueueRefusesAndSaysWhenToComeBack) {
  FakeExecutor executor;
  executor.hold(true);
  auto o = options();
  o.limits.max_sequences = 1;
  Controller controller(executor, &tokenizer, o);
  int accepted = 0;
  ErrorCode code = ErrorCode::internal;
  std::deque<Heard> all(20);
  for (Heard& h : all) {
    const auto id = controller.submit(asking("x", 3), h.sink());
    if (!id.ok()) code = id.error().code;
    accepted += id.ok();
  }
  EXPECT_EQ(code, ErrorCode::exhausted);
  EXPECT_GE(accepted, 4);
  EXPECT_LE(accepted, 6);
  EXPECT_GE(controller.retry_after(), 1);
  EXPECT_NE(
      metrics.text(controller.stats()).find("admission_rejections_total{engine=\"0\",model_name=\"test\",reason=\"max_num_queued_reqs\"}"),
      std::string::npos);
  executor.hold(false);
  controller.drain(10s);
}

TEST_F(ControllerTest, DrainWaitsForWhatRuns) {
  FakeExecutor executor(hashed_letter, 1, 1ms);
  Controller controller(executor, &tokenizer, options());
  ASSERT_TRUE(controller.submit(asking("x", 50), heard.sink()).ok());
  EXPECT_TRUE(controller.ready());
  controller.drain(10s);
  EXPECT_FALSE(controller.ready());
  EXPECT_EQ(heard.wait()[0].finish, Finish::length);
  EXPECT_EQ(controller.submit(asking("x", 5), heard.sink()).error().code, ErrorCode::unavailable);
}

TEST_F(ControllerTest, DrainEndsWhatTakesTooLong) {
  FakeExecutor executor(hashed_letter, 1, 20ms);
  Controller controller(executor, &tokenizer, options());
  GenerateRequest request = asking("x", 200);
  request.n = 3;
  ASSERT_TRUE(controller.submit(request, heard.sink()).ok());
  controller.drain(50ms);
  for (const auto& [i, choice] : heard.wait(3)) {
    EXPECT_EQ(choice.finish, Finish::error);
    EXPECT_EQ(choice.error, "the server is shutting down");
  }
}

TEST_F(ControllerTest, ALostRankIsHeardByEveryStream) {
  FakeExecutor executor(hashed_letter, 2, 1ms);
  Controller controller(executor, &tokenizer, options());
  std::atomic<int> calls = 0;
  controller.on_failure([&](const std::string& why) {
    EXPECT_EQ(why, "rank 2 died");
    ++calls;
  });
  std::deque<Heard> all(3);
  for (Heard& h : all) ASSERT_TRUE(controller.submit(asking("x", 250), h.sink()).ok());
  all[0].wait_for_events(2);
  executor.lose("rank 2 died");
  for (Heard& h : all) {
    EXPECT_EQ(h.wait()[0].finish, Finish::error);
    EXPECT_EQ(h.wait()[0].error, "rank 2 died");
  }
  EXPECT_FALSE(controller.ready());
  EXPECT_EQ(controller.failure(), "rank 2 died");
  EXPECT_EQ(controller.submit(asking("x", 5), heard.sink()).error().code, ErrorCode::lost);
  for (int i = 0; i < 1000 && calls == 0; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(calls, 1);
}

TEST_F(ControllerTest, ARankLostWhileNothingRunsIsNoticed) {
  FakeExecutor executor;
  Controller controller(executor, &tokenizer, options());
  std::atomic<bool> called = false;
  controller.on_failure([&](const std::string&) { called = true; });
  executor.lose("rank 1 died");
  for (int i = 0; i < 5000 && !called; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(called);
  EXPECT_EQ(controller.failure(), "rank 1 died");
}

TEST_F(ControllerTest, AStepThatDoesNotComeBackIsALoss) {
  FakeExecutor executor;
  executor.hold(true);
  auto o = options();
  o.step_deadline = 50ms;
  Controller controller(executor, &tokenizer, o);
  ASSERT_TRUE(controller.submit(asking("x", 5), heard.sink()).ok());
  EXPECT_NE(heard.wait()[0].error.find("rank 1 is silent"), std::string::npos);
}

TEST_F(ControllerTest, AValueThatIsNotFiniteEndsOneStreamOnly) {
  FakeExecutor executor([](TokenId last, int position, const Sampling& s) {
    return s.seed == 13 && position == 5 ? TokenId{-1} : hashed_letter(last, position, s);
  });
  Controller controller(executor, &tokenizer, options());
  GenerateRequest bad = asking("x", 20);
  bad.sampling.seed = 13;
  Heard other;
  ASSERT_TRUE(controller.submit(bad, heard.sink()).ok());
  ASSERT_TRUE(controller.submit(asking("x", 20), other.sink()).ok());
  EXPECT_EQ(heard.wait()[0].finish, Finish::error);
  EXPECT_EQ(heard.wait()[0].tokens.size(), 4u);
  EXPECT_EQ(other.wait()[0].finish, Finish::length);
}

TEST_F(ControllerTest, CountsWhatHappened) {
  FakeExecutor executor;
  Controller controller(executor, &tokenizer, options());
  for (int i = 0; i < 3; ++i) {
    Heard h;
    ASSERT_TRUE(controller.submit(asking("a prompt that is longer than two KV blocks", 10), h.sink()).ok());
    h.wait();
  }
  const std::string text = metrics.text(controller.stats());
  const auto has = [&](const char* line) { return text.find(std::string("\nshardline_") + line + "\n") != std::string::npos; };
  EXPECT_TRUE(has("prompt_tokens_total{engine=\"0\",model_name=\"test\"} 126")) << text;
  EXPECT_TRUE(has("generation_tokens_total{engine=\"0\",model_name=\"test\"} 30"));
  EXPECT_TRUE(has("prefix_cache_hits_total{engine=\"0\",model_name=\"test\"} 64"));
  EXPECT_TRUE(has("request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"test\"} 3"));
  EXPECT_TRUE(has("time_to_first_token_seconds_count{engine=\"0\",model_name=\"test\"} 3"));
  EXPECT_TRUE(has("inter_token_latency_seconds_count{engine=\"0\",model_name=\"test\"} 27"));
  EXPECT_TRUE(has("request_queue_time_seconds_count{engine=\"0\",model_name=\"test\"} 3"));
  EXPECT_TRUE(has("num_requests_running{engine=\"0\",model_name=\"test\"} 0"));
  EXPECT_TRUE(has("kv_cache_usage_perc{engine=\"0\",model_name=\"test\"} 0"));
}

}  // namespace
}  // namespace shardline::launcher
