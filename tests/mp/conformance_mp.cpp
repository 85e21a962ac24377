// The conformance suite with one process per rank: mpirun -np N conformance_mp TRANSPORT EXCHANGE SHAPE
//   TRANSPORT shm | mpi    EXCHANGE one-shot | two-shot    SHAPE tp (one group of N: collectives) | pp (N stages: channels)
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "parallel/mpi/rank_runtime.h"
#include "parallel/shm_collective.h"
#include "tests/conformance/channel_conformance.h"
#include "tests/conformance/collective_conformance.h"
#include "tests/mp/rank_test_main.h"

namespace shardline::parallel {
namespace {

struct Setting {
  std::unique_ptr<Job> job;
  std::unique_ptr<Topology> topology;
  std::unique_ptr<RankRuntime> runtime;
  RankLinks links;
  std::vector<std::unique_ptr<Channel>> plans;  // on rank 0, the controller's ends: [rank]
  std::unique_ptr<Channel> results;
};
Setting setting;

TEST(Wiring, EveryRankIsOnThisHost) {
  ASSERT_EQ(static_cast<int>(setting.job->places().size()), setting.job->world());
  EXPECT_TRUE(setting.job->one_host());
}

TEST(Collective, Conforms) {
  ASSERT_EQ(setting.links.tp->size(), setting.topology->tp());
  EXPECT_EQ(conformance::check_everything(*setting.links.tp, 3000), "");
}

TEST(Collective, ConformsAboveTheSlotSize) {
  const int groups[] = {3, 3, 3};
  EXPECT_EQ(conformance::check_sum(*setting.links.tp, groups, conformance::Values::floats, 9, 2 * ShmCollective::kSlotFloats + 5), "");
}

TEST(Channel, PlansConform) {
  constexpr std::size_t kBuffer = 256 * 1024;
  for (int to = 1; to < setting.job->world(); ++to) {
    if (setting.job->rank() == 0) {
      EXPECT_EQ(conformance::send_everything(*setting.plans[static_cast<std::size_t>(to)], kBuffer), "");
    } else if (setting.job->rank() == to) {
      EXPECT_EQ(conformance::receive_everything(*setting.links.plans, kBuffer), "");
    }
  }
}

TEST(Channel, HiddenStatesAndResultsConform) {
  constexpr std::size_t kBuffer = 512 * 1024;
  const RankLinks& links = setting.links;
  EXPECT_EQ(links.previous ? conformance::receive_everything(*links.previous, kBuffer) : "", "");
  EXPECT_EQ(links.next ? conformance::send_everything(*links.next, kBuffer) : "", "");
  if (setting.topology->pp() == 1) return;  // the result rank is rank 0 itself
  EXPECT_EQ(links.results ? conformance::send_everything(*links.results, kBuffer) : "", "");
  if (setting.job->rank() != 0) return;
  EXPECT_EQ(conformance::receive_everything(*setting.results, kBuffer), "");
}

void set_up(Transport transport, Exchange exchange, bool tensor_parallel) {
  JobOptions options;
  options.transport = transport;
  setting.job = std::move(Job::start(options).value());
  const int world = setting.job->world();
  Hello hello;
  hello.tp = tensor_parallel ? world : 1;
  hello.pp = tensor_parallel ? 1 : world;
  hello.kernels = {"scalar"};
  const Result<std::string> agreed = setting.job->agree(hello);
  if (!agreed.ok()) {
    std::fprintf(stderr, "rank %d: %s\n", setting.job->rank(), agreed.error().message.c_str());
    setting.job->finish(1);
  }
  setting.topology = std::make_unique<Topology>(Topology::make(world, hello.tp, hello.pp, 16).value());
  ExecutorOptions executor;
  executor.exchange = exchange;
  setting.runtime = std::make_unique<RankRuntime>(setting.job->impl(), *setting.topology, executor, Duration::zero());
  setting.links = setting.runtime->links();
  if (setting.job->rank() != 0) return;
  const ChannelMaker make_channel = setting.runtime->channels({});
  for (int to = 0; to < world; ++to) setting.plans.push_back(make_channel({Link::plan, 0, to}, "rank"));
  setting.results = make_channel({Link::result, setting.topology->result_rank(), 0}, "last");
}

// Nobody leaves before all are through: rank 0 hears from nobody and tells everybody.
void say_goodbye() {
  const TimePoint deadline = Clock::now() + std::chrono::seconds(60);
  std::vector<std::byte> message;
  if (setting.job->rank() != 0) return static_cast<void>(setting.links.plans->receive(message, deadline));
  for (std::size_t to = 1; to < setting.plans.size(); ++to) static_cast<void>(setting.plans[to]->send({}, deadline));
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 4) return 2;
  const std::string transport = argv[1], exchange = argv[2], shape = argv[3];
  set_up(transport == "mpi" ? Transport::mpi : Transport::shm, exchange == "two-shot" ? Exchange::two_shot : Exchange::one_shot,
         shape == "tp");
  keep_quiet_unless_rank_0(setting.job->rank());
  const int failed = RUN_ALL_TESTS();
  say_goodbye();
  setting.links = {};
  setting.runtime.reset();
  setting.job->finish(failed);
}

}  // namespace
}  // namespace shardline::parallel

int main(int argc, char** argv) { return shardline::parallel::run(argc, argv); }
