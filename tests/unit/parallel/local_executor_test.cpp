#include "parallel/local_executor.h"

#include <gtest/gtest.h>

#include <atomic>

#include "parallel/signal.h"
#include "tests/unit/parallel/fake_stage.h"

namespace shardline::parallel {
namespace {

TimePoint soon() { return Clock::now() + std::chrono::seconds(60); }

Topology topology(int tp, int pp) { return Topology::make(tp * pp, tp, pp, kFakeLayers).value(); }

// Results of plans 1..n with 1, 4, 7, ... rows, up to depth() in flight.
std::vector<std::uint64_t> hashes(Executor& executor, int plans) {
  std::vector<std::uint64_t> all;
  int submitted = 0, received = 0;
  while (received < plans) {
    while (submitted < plans && submitted - received < executor.depth()) {
      ++submitted;
      const Status status = executor.submit(fake_plan(static_cast<std::uint64_t>(submitted), 1 + submitted * 3 % 200));
      EXPECT_TRUE(status.ok());
    }
    const Result<StepResult> result = executor.next(soon());
    EXPECT_TRUE(result.ok()) << result.error().message;
    if (!result.ok()) return all;
    EXPECT_EQ(result->number, static_cast<std::uint64_t>(++received));
    for (const SampleResult& sample : result->samples) all.push_back(sample.logits_hash);
  }
  return all;
}

TEST(LocalExecutor, EveryTopologyGivesTheSameBits) {
  auto plain = LocalExecutor::start(topology(1, 1), fake_factory(), fake_options());
  ASSERT_TRUE(plain.ok());
  const std::vector<std::uint64_t> expected = hashes(**plain, 40);
  EXPECT_EQ(std::count(expected.begin(), expected.end(), 0u), 0);
  for (const auto& [tp, pp] : {std::pair{2, 1}, {3, 1}, {9, 1}, {1, 2}, {1, 6}, {2, 2}, {5, 3}, {4, 4}})
    for (const Exchange exchange : {Exchange::one_shot, Exchange::two_shot}) {
      ExecutorOptions options = fake_options();
      options.exchange = exchange;
      options.depth = pp;
      auto executor = LocalExecutor::start(topology(tp, pp), fake_factory(), options);
      ASSERT_TRUE(executor.ok());
      EXPECT_EQ((*executor)->depth(), pp);
      EXPECT_EQ(hashes(**executor, 40), expected) << "tp " << tp << " pp " << pp;
    }
}

TEST(LocalExecutor, OnePlanIsInFlightWhereStagesShareCores) {
  ExecutorOptions options = fake_options();
  options.stage.threads = 4096;
  auto executor = LocalExecutor::start(topology(1, 3), fake_factory(), options);
  ASSERT_TRUE(executor.ok());
  EXPECT_EQ((*executor)->depth(), 1);
}

TEST(LocalExecutor, ReportsWhatAFactoryReturned) {
  const StageFactory factory = [](const StageShape& shape, Collective& tp) -> Result<std::unique_ptr<ModelStage>> {
    if (shape.tp_rank == 1) return Error{ErrorCode::usage, "no heads left", ""};
    return fake_factory()(shape, tp);
  };
  const auto executor = LocalExecutor::start(topology(2, 1), factory, fake_options());
  ASSERT_FALSE(executor.ok());
  EXPECT_EQ(executor.error().code, ErrorCode::usage);
  EXPECT_EQ(executor.error().message, "rank 1: no heads left");
}

TEST(LocalExecutor, ATimeoutLeavesThePlanInFlight) {
  std::atomic<bool> go = false;
  auto executor =
      LocalExecutor::start(topology(1, 2), fake_factory([&](const StepPlan&, const StageShape&) { go.wait(false); }), fake_options());
  ASSERT_TRUE(executor.ok());
  ASSERT_TRUE((*executor)->submit(fake_plan(1, 10)).ok());
  const Result<StepResult> early = (*executor)->next(Clock::now() + std::chrono::milliseconds(20));
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().code, ErrorCode::timeout);
  go = true;
  go.notify_all();
  const Result<StepResult> late = (*executor)->next(soon());
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(late->number, 1u);
  EXPECT_GE(late->seconds, 0.0);
}

TEST(LocalExecutor, ARankThatIsLostEndsTheJobAndIsNamed) {
  const auto fail = [](const StepPlan& plan, const StageShape& shape) {
    if (plan.number == 3 && shape.tp_rank == 1 && shape.last) throw RankLost("its peer is gone");
  };
  auto executor = LocalExecutor::start(topology(2, 2), fake_factory(fail), fake_options());
  ASSERT_TRUE(executor.ok());
  for (std::uint64_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE((*executor)->submit(fake_plan(n, 5)).ok());
    const Result<StepResult> result = (*executor)->next(soon());
    ASSERT_EQ(result.ok(), n < 3);
    if (result.ok()) continue;
    EXPECT_EQ(result.error().code, ErrorCode::lost);
    EXPECT_EQ(result.error().message, "rank 3: its peer is gone");
  }
  EXPECT_EQ((*executor)->next(soon()).error().message, "rank 3: its peer is gone");  // and stays so
}

TEST(LocalExecutor, APlanOfAnotherEpochIsDropped) {
  ExecutorOptions options = fake_options();
  options.patience = std::chrono::milliseconds(100);
  auto executor = LocalExecutor::start(topology(1, 1), fake_factory(), options);
  ASSERT_TRUE(executor.ok());
  StepPlan old = fake_plan(1, 4);
  old.epoch = 0;
  ASSERT_TRUE((*executor)->submit(old).ok());
  const Result<StepResult> result = (*executor)->next(Clock::now() + std::chrono::milliseconds(50));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::timeout);
}

TEST(LocalExecutor, APlanThatBreaksItsLimitsEndsTheJob) {
  ExecutorOptions options = fake_options();
  options.stage.max_rows = 8;
  auto executor = LocalExecutor::start(topology(1, 1), fake_factory(), options);
  ASSERT_TRUE(executor.ok());
  ASSERT_TRUE((*executor)->submit(fake_plan(1, 9)).ok());
  const Result<StepResult> result = (*executor)->next(soon());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::lost);
}

TEST(LocalExecutor, EndsWithPlansInFlight) {
  ExecutorOptions options = fake_options();
  options.depth = 3;
  auto executor = LocalExecutor::start(topology(2, 3), fake_factory(), options);
  ASSERT_TRUE(executor.ok());
  for (std::uint64_t n = 1; n <= 3; ++n) ASSERT_TRUE((*executor)->submit(fake_plan(n, 500)).ok());
}

}  // namespace
}  // namespace shardline::parallel
