#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <limits>
#include <numeric>

namespace shardline::scheduler {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Request make_request(RequestId id, int prompt, int max_tokens = 4) {
  Request request;
  request.id = id;
  request.prompt.resize(static_cast<std::size_t>(prompt));
  std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(1000 * id));  // no common prefixes
  request.sampling.seed = id;
  request.max_tokens = max_tokens;
  return request;
}

Limits make_limits() {
  Limits limits;
  limits.max_rows = 64;
  limits.blocks = 64;
  limits.context = 512;
  return limits;
}

// A scheduler whose samples are all 7, unless the test says otherwise.
class SchedulerTest : public testing::Test {
 protected:
  void start(const Limits& limits) { scheduler_.emplace(limits); }
  Status submit(Request request) { return scheduler_->submit(std::move(request), {}); }
  std::optional<StepPlan> plan() {
    auto plan = scheduler_->plan({});
    scheduler_->check_integrity();
    return plan;
  }
  std::vector<TokenEvent> apply(const StepPlan& plan, TokenId token = 7, bool finite = true) {
    StepResult result;
    result.epoch = plan.epoch;
    result.number = plan.number;
    for (const PlanSample& sample : plan.samples) {
      auto& s = result.samples.emplace_back();
      s.slot = sample.slot;
      s.token = token;
      s.finite = finite;
    }
    auto events = scheduler_->apply(result, {});
    scheduler_->check_integrity();
    return events;
  }
  std::vector<TokenEvent> step() {
    const auto p = plan();
    return p ? apply(*p) : std::vector<TokenEvent>{};
  }
  std::vector<RequestId> sampled_requests(const StepPlan& plan) {
    std::vector<RequestId> ids;
    for (const PlanSample& sample : plan.samples) ids.push_back(sample.sampling.seed);
    return ids;
  }
  std::vector<int> rows(const StepPlan& plan) {
    std::vector<int> rows;
    for (const PlanSequence& s : plan.sequences) rows.push_back(s.rows);
    return rows;
  }
  std::optional<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, OneRequestFromPromptToEnd) {
  start(make_limits());
  ASSERT_TRUE(submit(make_request(1, 20, 2)).ok());
  EXPECT_FALSE(scheduler_->idle());
  const auto prefill = plan();
  ASSERT_TRUE(prefill);
  EXPECT_EQ(prefill->epoch, 1u);
  EXPECT_EQ(prefill->tokens, make_request(1, 20).prompt);
  EXPECT_EQ(prefill->block_tables.size(), 2u);
  ASSERT_EQ(prefill->samples.size(), 1u);
  EXPECT_EQ(prefill->samples[0].row, 19);
  EXPECT_EQ(prefill->samples[0].position, 20);
  EXPECT_FALSE(plan());  // depth 1
  auto events = apply(*prefill, 42);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].has_token && events[0].finish == Finish::none && events[0].sample.token == 42);
  const auto decode = plan();
  EXPECT_EQ(decode->number, prefill->number + 1);
  EXPECT_THAT(decode->tokens, ElementsAre(42));
  EXPECT_EQ(decode->samples[0].position, 21);
  events = apply(*decode);
  EXPECT_TRUE(events[0].has_token && events[0].finish == Finish::length);
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_EQ(scheduler_->stats().generated_tokens, 2u);
  EXPECT_EQ(scheduler_->stats().prompt_tokens, 20u);
}

TEST_F(SchedulerTest, RefusesWhatCanNeverRun) {
  Limits limits = make_limits();
  limits.blocks = 4;
  start(limits);
  EXPECT_EQ(submit(make_request(1, 60, 5)).error().code, ErrorCode::invalid_argument);  // the pool holds 64
  EXPECT_EQ(submit(make_request(1, 1, std::numeric_limits<int>::max())).error().param, "max_tokens");
  EXPECT_EQ(submit(make_request(1, 0)).error().param, "prompt");
  EXPECT_EQ(submit(make_request(1, 1, 0)).error().param, "max_tokens");
  Request none = make_request(1, 1);
  none.n = 0;
  EXPECT_EQ(submit(none).error().param, "n");
  EXPECT_TRUE(scheduler_->idle());
  EXPECT_TRUE(submit(make_request(1, 60, 4)).ok());
}

TEST_F(SchedulerTest, TheQueueIsBounded) {
  Limits limits = make_limits();
  limits.max_queue = 2;
  limits.max_sequences = 1;
  start(limits);
  for (RequestId id = 1; id <= 2; ++id) EXPECT_TRUE(submit(make_request(id, 5)).ok());
  EXPECT_EQ(submit(make_request(3, 5)).error().code, ErrorCode::exhausted);
  step();  // the first is admitted
  EXPECT_TRUE(submit(make_request(3, 5)).ok());
  EXPECT_EQ(submit(make_request(4, 5)).error().code, ErrorCode::exhausted);
  scheduler_->cancel(2);
  EXPECT_TRUE(submit(make_request(4, 5)).ok());
}

TEST_F(SchedulerTest, ALongPromptDoesNotStopTheDecodesBesideIt) {
  Limits limits = make_limits();
  limits.blocks = 1024;
  limits.context = 9000;
  start(limits);
  for (RequestId id = 1; id <= 8; ++id) ASSERT_TRUE(submit(make_request(id, 5, 500)).ok());
  step();
  ASSERT_TRUE(submit(make_request(9, 8192)).ok());
  for (int chunk = 0; chunk < 8192 / 56; ++chunk) {
    const auto p = plan();
    EXPECT_THAT(rows(*p), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 56));
    EXPECT_EQ(apply(*p).size(), 8u);
  }
}

TEST_F(SchedulerTest, StopTokensAndNonFiniteLogitsEndAChoice) {
  start(make_limits());
  Request request = make_request(1, 5);
  request.stop_tokens = {3, 9};
  ASSERT_TRUE(submit(request).ok());
  auto events = apply(*plan(), 9);
  EXPECT_TRUE(events[0].has_token && events[0].finish == Finish::stop && events[0].sample.token == 9);
  EXPECT_TRUE(scheduler_->idle());

  ASSERT_TRUE(submit(make_request(2, 5)).ok());
  events = apply(*plan(), 9, false);
  EXPECT_TRUE(!events[0].has_token && events[0].finish == Finish::error);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, ChunksFollowEachOtherInFlightAndDecodesWaitForTheirResult) {
  Limits limits = make_limits();
  limits.depth = 3;
  start(limits);
  ASSERT_TRUE(submit(make_request(1, 100)).ok());
  const auto first = plan(), second = plan();
  EXPECT_EQ(first->sequences[0].rows + second->sequences[0].rows, 100);
  EXPECT_EQ(second->sequences[0].first_position, 64);
  EXPECT_FALSE(plan());
  EXPECT_THAT(apply(*first), IsEmpty());
  EXPECT_FALSE(plan());
  apply(*second);
  EXPECT_THAT(plan()->tokens, ElementsAre(7));
}

TEST_F(SchedulerTest, DecodesSpreadOverMicroBatches) {
  Limits limits = make_limits();
  limits.depth = 2;
  start(limits);
  for (RequestId id = 1; id <= 4; ++id) ASSERT_TRUE(submit(make_request(id, 5)).ok());
  apply(*plan());
  const auto first = plan(), second = plan();
  EXPECT_THAT(sampled_requests(*first), ElementsAre(1, 2));
  EXPECT_THAT(sampled_requests(*second), ElementsAre(3, 4));
  apply(*first);
  EXPECT_THAT(sampled_requests(*plan()), ElementsAre(1, 2));
}

TEST_F(SchedulerTest, PrefixesAreComputedOnce) {
  start(make_limits());
  ASSERT_TRUE(submit(make_request(1, 40, 1)).ok());
  step();
  Request again = make_request(1, 40, 1);
  ASSERT_TRUE(submit(again).ok());
  const auto p = plan();
  EXPECT_EQ(p->sequences[0].first_position, 32);
  EXPECT_EQ(apply(*p)[0].cached_tokens, 32);
  const Stats stats = scheduler_->stats();
  EXPECT_EQ(stats.prefix_queries, 80u);
  EXPECT_EQ(stats.prefix_hits, 32u);
  EXPECT_EQ(stats.prompt_tokens, 48u);
  EXPECT_EQ(stats.blocks_cached, 2);
}

TEST_F(SchedulerTest, ChoicesShareThePromptsFullBlocks) {
  for (const bool prefix_cache : {true, false}) {
    Limits limits = make_limits();
    limits.prefix_cache = prefix_cache;
    start(limits);
    Request request = make_request(1, 70, 20);
    request.n = 3;
    ASSERT_TRUE(submit(request).ok());
    EXPECT_EQ(scheduler_->stats().waiting, 3);
    EXPECT_THAT(rows(*plan()), ElementsAre(64));
    StepPlan p;
    p.epoch = p.number = 1;
    apply(p);
    // The four full blocks are there: the first choice goes on beside the others, which begin after them.
    p = *plan();
    EXPECT_THAT(rows(p), ElementsAre(6, 6, 6));
    for (const auto& s : p.sequences) EXPECT_EQ(s.first_position, 64);
    EXPECT_EQ(p.samples[2].sampling.choice, 2u);
    EXPECT_EQ(apply(p).size(), 3u);
    EXPECT_EQ(scheduler_->stats().blocks_used, 4 + 3);
    scheduler_->cancel(1, 0);  // the others keep what they share with it
    EXPECT_EQ(scheduler_->stats().blocks_used, 4 + 2);
    EXPECT_EQ(step().size(), 2u);
    scheduler_->cancel(1);
    EXPECT_TRUE(scheduler_->idle());
    EXPECT_EQ(scheduler_->stats().blocks_cached, prefix_cache ? 4 : 0);
  }
}

TEST_F(SchedulerTest, AnotherChoiceLeadsWhereTheFirstIsCancelled) {
  start(make_limits());
  Request request = make_request(1, 100);
  request.n = 2;
  ASSERT_TRUE(submit(request).ok());
  step();
  scheduler_->cancel(1, 0);
  const auto p = plan();
  EXPECT_THAT(rows(*p), ElementsAre(36));  // it takes over what is computed
  EXPECT_EQ(apply(*p)[0].choice, 1);
}

TEST_F(SchedulerTest, WithoutPrefixCacheRequestsShareNothing) {
  Limits limits = make_limits();
  limits.prefix_cache = false;
  start(limits);
  ASSERT_TRUE(submit(make_request(1, 40)).ok());
  Request same = make_request(1, 40);
  step();
  same.id = 2;
  ASSERT_TRUE(submit(same).ok());
  EXPECT_THAT(rows(*plan()), ElementsAre(1, 40));
}

TEST_F(SchedulerTest, CancelInFlightFreesBlocksWithTheResult) {
  start(make_limits());
  ASSERT_TRUE(submit(make_request(1, 40)).ok());
  const auto p = plan();
  scheduler_->cancel(1);
  scheduler_->check_integrity();
  EXPECT_FALSE(scheduler_->idle());
  EXPECT_EQ(scheduler_->stats().blocks_used, 3);
  EXPECT_THAT(apply(*p), IsEmpty());
  EXPECT_EQ(scheduler_->stats().blocks_used, 0);
  EXPECT_TRUE(scheduler_->idle());
}

TEST_F(SchedulerTest, TheLastToArriveIsPreemptedAndResumesBeforeNewOnes) {
  Limits limits = make_limits();
  limits.blocks = 6;
  start(limits);
  for (RequestId id = 1; id <= 2; ++id) ASSERT_TRUE(submit(make_request(id, 31, 40)).ok());
  step();  // two blocks each
  ASSERT_TRUE(submit(make_request(3, 31, 40)).ok());
  for (int tokens = 32; tokens <= 48; ++tokens) ASSERT_EQ(step().size(), 2u) << tokens;
  EXPECT_EQ(step().at(0).request, 1u);  // both had three full blocks
  EXPECT_EQ(scheduler_->stats().preemptions, 1u);
  while (scheduler_->stats().running == 1) ASSERT_EQ(step().at(0).request, 1u);
  std::vector<RequestId> order;
  while (!scheduler_->idle())
    for (const TokenEvent& event : step())
      if (event.finish != Finish::none) order.push_back(event.request);
  EXPECT_THAT(order, ElementsAre(2, 3));
}

TEST_F(SchedulerTest, PreemptsOneAtATimeWhileBlocksAreOnTheirWay) {
  Limits limits = make_limits();
  limits.depth = 3;
  limits.blocks = 6;
  start(limits);
  for (RequestId id = 1; id <= 3; ++id) ASSERT_TRUE(submit(make_request(id, 15, 40)).ok());
  std::deque<StepPlan> in_flight;
  while (scheduler_->stats().preemptions == 0) {
    while (auto p = plan()) in_flight.push_back(std::move(*p));
    apply(in_flight.front());
    in_flight.pop_front();
  }
  EXPECT_EQ(scheduler_->stats().preemptions, 1u);
  EXPECT_EQ(scheduler_->stats().running, 2);
}

TEST_F(SchedulerTest, PriorityComesBeforeArrival) {
  for (const Policy policy : {Policy::fcfs, Policy::priority}) {
    Limits limits = make_limits();
    limits.policy = policy;
    limits.max_sequences = 1;
    start(limits);
    for (const auto& [id, priority] : {std::pair{1, 5}, {2, 5}, {3, -1}, {4, 0}}) {
      Request request = make_request(static_cast<RequestId>(id), 5, 1);
      request.priority = priority;
      ASSERT_TRUE(submit(request).ok());
    }
    std::vector<RequestId> order;
    while (!scheduler_->idle()) order.push_back(step().at(0).request);
    if (policy == Policy::fcfs)
      EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
    else
      EXPECT_THAT(order, ElementsAre(3, 4, 1, 2));
  }
}

TEST_F(SchedulerTest, ARequestRunsOnTheSmallestLimits) {
  Limits limits = make_limits();
  limits.max_rows = limits.blocks = limits.depth = 1;
  start(limits);
  ASSERT_TRUE(submit(make_request(1, 5, 3)).ok());
  ASSERT_TRUE(submit(make_request(2, 5, 3)).ok());
  int steps = 0;
  while (!scheduler_->idle()) {
    step();
    ASSERT_LE(++steps, 14);  // 5 + 2 rows each, one at a time
  }
}

}  // namespace
}  // namespace shardline::scheduler
