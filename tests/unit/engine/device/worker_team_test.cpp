#include "engine/device/worker_team.h"

#include <gtest/gtest.h>

#include <vector>

namespace shardline {
namespace {

TEST(WorkerTeam, EveryChunkGoesToOneWorkerInEveryOp) {
  for (const int threads : {1, 2, 3, 7}) {
    WorkerTeam team(threads, false);
    for (int run = 0; run < 20; ++run) {
      std::vector<std::atomic<int>> taken(50);
      std::atomic<int> wrong{0};
      team.run([&](Worker& w) {
        EXPECT_LE(w.count(), threads);
        for (int op = 1; op <= 30; ++op) {
          for (int i; (i = w.claim()) < 50;) taken[static_cast<std::size_t>(i)].fetch_add(1);
          w.barrier();
          for (const auto& t : taken)
            if (t.load() != op) ++wrong;  // all of the op is seen after the barrier
          w.barrier();
        }
      });
      EXPECT_EQ(wrong.load(), 0) << threads;
    }
  }
}

TEST(WorkerTeam, PlainWritesBeforeABarrierAreSeenAfterIt) {
  WorkerTeam team(4, true);
  std::vector<int> values(4);
  int sum = 0;
  team.run([&](Worker& w) {
    for (int round = 1; round <= 200; ++round) {
      values[static_cast<std::size_t>(w.index())] = round * (w.index() + 1);
      w.barrier();
      if (w.index() == round % 4) sum = values[0] + values[1] + values[2] + values[3];
      w.barrier();
      EXPECT_EQ(sum, round * 10);
      w.barrier();
    }
  });
}

TEST(WorkerTeam, DenormalsAreZeroInsideAndTheCallersModeReturns) {
  WorkerTeam team(2, false);
  volatile float tiny = 1e-38f;
  std::atomic<int> zeros{0};
  team.run([&](Worker&) {
    if (tiny * 0.01f == 0.0f) ++zeros;
  });
  EXPECT_EQ(zeros.load(), 2);
  EXPECT_GT(tiny * 0.01f, 0.0f);
}

TEST(CrewSize, ShrinksWhileCoresAreContendedAndTriesAgainEverLater) {
  using namespace std::chrono_literals;
  CrewSize crew(2);
  TimePoint now{};
  const auto windows = [&](Duration length, double waited) {
    int full = 0;
    for (const TimePoint end = now + length; now < end; now += 100ms) {
      crew.hear(now, crew.active() == 2 ? waited : 0);
      full += crew.active() == 2;
    }
    return full;
  };
  EXPECT_EQ(windows(1s, 0.1), 10);  // short waits are usual
  EXPECT_LE(windows(60s, 0.5), 8);  // a foreign loop: seldom more than one
  windows(17s, 0.0);
  EXPECT_EQ(windows(20s, 0.0), 200);  // it is gone
  EXPECT_GE(windows(3s, 0.5), 1);     // and the pauses are short again
}

TEST(WorkerTeam, AResizedTeamRunsOn) {  // whatever else the machine does meanwhile
  WorkerTeam team(4, false);
  std::atomic<bool> stop{false};
  std::vector<std::thread> loops;
  for (int i = 0; i < 4; ++i)
    loops.emplace_back([&] {
      while (!stop) {
      }
    });
  const TimePoint begin = Clock::now();
  while (Clock::now() - begin < std::chrono::milliseconds(600)) {
    std::atomic<int> taken{0};
    team.run([&](Worker& w) {
      for (int op = 0; op < 3; ++op) {
        while (w.claim() < 20) ++taken;
        w.barrier();
      }
    });
    ASSERT_EQ(taken.load(), 60);
  }
  stop = true;
  for (std::thread& t : loops) t.join();
}

}  // namespace
}  // namespace shardline
