#include "parallel/mpi/hello.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace shardline::parallel {
namespace {

std::vector<HelloRecord> two() {
  std::vector<HelloRecord> all(2);
  for (HelloRecord& record : all) {
    record.hello.tp = 2;
    record.hello.build = std::string("0.1.0 (abc)");
    record.hello.kernels = {"scalar", "avx2"};
    record.hello.options = std::string("--compute fast");
  }
  all[0].host = std::string("a");
  all[1].host = std::string("b");
  return all;
}

std::string judged(std::vector<HelloRecord> all) {
  const Status status = judge(all);
  return status.ok() ? "" : status.error().message;
}

TEST(Hello, EqualRanksAgree) { EXPECT_EQ(judged(two()), ""); }

TEST(Hello, EachDifferenceIsOneLineWithBothValues) {
  auto all = two();
  all[1].hello.build = std::string("0.1.0 (def)");
  EXPECT_EQ(judged(all), "build differs: rank 0 (host a) has 0.1.0 (abc), rank 1 (host b) has 0.1.0 (def)");
  all = two();
  all[1].hello.tp = 1;
  EXPECT_EQ(judged(all), "--tp differs: rank 0 (host a) has 2, rank 1 (host b) has 1");
  all = two();
  all[1].hello.pp_layers = {3, 4};
  EXPECT_EQ(judged(all), "--pp-layers differs: rank 0 (host a) has , rank 1 (host b) has 3,4");
  all = two();
  all[1].hello.leaf_plan = 255;
  EXPECT_EQ(judged(all), "leaf plan differs: rank 0 (host a) has 0000000000000000, rank 1 (host b) has 00000000000000ff");
  EXPECT_EQ(judge(all).error().param, "leaf plan");
  all = two();
  all[1].hello.options = std::string("--compute f32");
  EXPECT_EQ(judged(all), "options differs: rank 0 (host a) has --compute fast, rank 1 (host b) has --compute f32");
}

TEST(Hello, AFailureComesBeforeDifferences) {
  auto all = two();
  all[1].hello.model = 1;
  all[1].hello.failure = std::string("no such file: m.gguf");
  EXPECT_EQ(judged(all), "rank 1 (host b): no such file: m.gguf");
}

TEST(Hello, TheWorldMustFit) {
  auto all = two();
  for (HelloRecord& record : all) record.hello.pp = 3;
  EXPECT_EQ(judged(all), "--tp 2 x --pp 3 need 6 ranks, there are 2");
}

TEST(Hello, TheBestKernelTableThatAllHaveIsTaken) {
  auto all = two();
  EXPECT_EQ(best_kernels(all).value(), "avx2");
  all[0].hello.kernels = {"scalar", "avx2", "avx512"};
  EXPECT_EQ(best_kernels(all).value(), "avx2");
  all[1].hello.kernels = {"scalar"};
  EXPECT_EQ(best_kernels(all).value(), "scalar");
  all[0].hello.kernels = {"avx512"};  // forced
  EXPECT_EQ(best_kernels(all).error().message, "no kernel table runs on every rank: rank 0 has avx512, rank 1 has scalar");
}

TEST(Launched, TheEnvironmentTells) {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"}) unsetenv(name);
  EXPECT_FALSE(launched_by_mpi());
  setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  EXPECT_FALSE(launched_by_mpi());
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  EXPECT_TRUE(launched_by_mpi());
  unsetenv("SLURM_STEP_NUM_TASKS");
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  EXPECT_TRUE(launched_by_mpi());
  unsetenv("OMPI_COMM_WORLD_SIZE");
}

}  // namespace
}  // namespace shardline::parallel
