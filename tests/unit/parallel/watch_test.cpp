// The watch of one process over real others.
#include "parallel/watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "parallel/region.h"

namespace shardline::parallel {
namespace {

// A job of two ranks: this process, and a child that beats until it is killed.
struct TwoRanks {
  TwoRanks() : memory(std::move(Region::anonymous(JobMemory::bytes(2, 1)).value()), 2, 1), child(fork()) {
    if (child != 0) return;
    for (;;) {
      memory.pulse(1).beat.fetch_add(1);
      usleep(20'000);
    }
  }
  ~TwoRanks() {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  Watch::Options options(Duration silence) {
    return {&memory.abort(), &memory.pulse(0), {{1, "rank 1 (host h, pid 7)", &memory.pulse(1), child}}, silence, nullptr, {}};
  }
  std::string cause(int milliseconds) const {
    for (int i = 0; i < milliseconds && !memory.abort().raised(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return memory.abort().raised() ? memory.abort().error().message : "";
  }

  JobMemory memory;
  pid_t child;
};

TEST(Watch, BeatsAndLeavesAHealthyJobAlone) {
  TwoRanks job;
  const Watch watch(job.options(std::chrono::seconds(3)));
  EXPECT_EQ(job.cause(300), "");
  EXPECT_GE(job.memory.pulse(0).beat.load(), 2u);
}

TEST(Watch, NamesADeadProcess) {
  TwoRanks job;
  const Watch watch(job.options(std::chrono::hours(1)));
  kill(job.child, SIGKILL);
  EXPECT_EQ(job.cause(20000), "rank 1 (host h, pid 7) died: its process ended");
}

TEST(Watch, NamesASilentProcess) {
  TwoRanks job;
  while (job.memory.pulse(1).beat.load() == 0) std::this_thread::yield();
  const Watch watch(job.options(std::chrono::milliseconds(500)));
  kill(job.child, SIGSTOP);
  EXPECT_TRUE(job.cause(20000).starts_with("rank 1 (host h, pid 7) silent for 0.")) << job.cause(0);
}

TEST(Watch, ARankThatLeavesMayDie) {
  TwoRanks job;
  const Watch watch(job.options(std::chrono::milliseconds(300)));
  job.memory.pulse(1).state = RankState::leaving;
  kill(job.child, SIGKILL);
  EXPECT_EQ(job.cause(800), "");
}

TEST(Watch, EndsAProcessThatDoesNotEndByItself) {
  TwoRanks job;
  const pid_t stuck = fork();
  if (stuck == 0) {
    Watch::Options options = job.options(std::chrono::hours(1));
    options.peers.clear();
    options.grace = std::chrono::milliseconds(100);
    const Watch watch(std::move(options));
    job.memory.abort().raise(ErrorCode::lost, "over");
    for (;;) pause();
  }
  int status = 0;
  waitpid(stuck, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 70);
}

}  // namespace
}  // namespace shardline::parallel
