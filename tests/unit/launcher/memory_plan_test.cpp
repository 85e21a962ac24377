#include "launcher/memory_plan.h"

#include <gtest/gtest.h>

namespace shardline::launcher {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

StageMemory stage(std::uint64_t weights, std::uint64_t kv_block) { return {weights, kv_block, 0}; }

TEST(MemoryPlan, TakesWhatTheSequencesNeedWhereMemoryIsPlenty) {
  const std::vector<StageMemory> ranks{stage(kMiB, 1024)};
  const std::vector<HostMemory> hosts{{1024 * kMiB, {0}}};
  const auto plan = plan_kv({0, 1000, 3, 0}, ranks, hosts);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->blocks, 3 * 63);
  EXPECT_EQ(plan->context, 1000);
}

TEST(MemoryPlan, RanksOfAHostShareHalfOfWhatTheirWeightsLeave) {
  const std::vector<StageMemory> ranks{stage(20 * kMiB, kMiB), stage(20 * kMiB, 3 * kMiB)};
  const auto plan = plan_kv({0, 1 << 20, 64, 0}, ranks, std::vector<HostMemory>{{120 * kMiB, {0, 1}}});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->blocks, 10);  // (120 - 40) / 2 / 4
  EXPECT_EQ(plan->context, 160);
}

TEST(MemoryPlan, TheFullestHostDecides) {
  const std::vector<StageMemory> ranks{stage(0, kMiB), stage(0, kMiB)};
  const auto plan = plan_kv({0, 1 << 20, 64, 0}, ranks, std::vector<HostMemory>{{100 * kMiB, {0}}, {16 * kMiB, {1}}});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->blocks, 8);
}

TEST(MemoryPlan, AnAskedAmountCountsPerRank) {
  const std::vector<StageMemory> ranks{stage(0, kMiB), stage(0, 2 * kMiB)};
  const auto plan = plan_kv({0, 1 << 20, 64, 32 * kMiB}, ranks, std::vector<HostMemory>{{64 * kMiB, {0, 1}}});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->blocks, 16);
}

TEST(MemoryPlan, AnAskedAmountThatTheHostHasNotIsRefused) {
  const std::vector<StageMemory> ranks{stage(8 * kMiB, kMiB), stage(8 * kMiB, kMiB)};
  const std::vector<HostMemory> hosts{{64 * kMiB, {0, 1}}};
  EXPECT_TRUE(plan_kv({0, 1 << 20, 64, 24 * kMiB}, ranks, hosts).ok());
  const auto refused = plan_kv({0, 1 << 20, 64, 25 * kMiB}, ranks, hosts);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::usage);
  EXPECT_NE(refused.error().message.find("50.0 MiB does not fit"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("has 48.0 MiB"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(plan_kv({0, 160, 1, 1024 * kMiB}, ranks, hosts).ok());  // a sequence needs 10 blocks, and more is not taken
}

TEST(MemoryPlan, AnAskedContextFitsOrIsRefused) {
  const std::vector<StageMemory> ranks{stage(0, kMiB)};
  const std::vector<HostMemory> hosts{{20 * kMiB, {0}}};
  EXPECT_TRUE(plan_kv({160, 8192, 1, 0}, ranks, hosts).ok());
  const auto refused = plan_kv({161, 8192, 1, 0}, ranks, hosts);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::usage);
  EXPECT_NE(refused.error().message.find("11 KV blocks, memory is there for 10"), std::string::npos) << refused.error().message;
}

TEST(MemoryPlan, NoMemoryIsAnError) {
  const std::vector<StageMemory> ranks{stage(8 * kMiB, kMiB)};
  EXPECT_FALSE(plan_kv({0, 8192, 1, 0}, ranks, std::vector<HostMemory>{{4 * kMiB, {0}}}).ok());
}

TEST(MemoryPlan, TheMachineHasMemory) { EXPECT_GT(free_memory(), kMiB); }

}  // namespace
}  // namespace shardline::launcher
