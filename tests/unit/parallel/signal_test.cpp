#include "parallel/signal.h"

#include <gtest/gtest.h>

#include <thread>

namespace shardline::parallel {
namespace {

TimePoint in(int milliseconds) { return Clock::now() + std::chrono::milliseconds(milliseconds); }

TEST(Signal, CountsModulo32Bits) {
  Signal signal;
  EXPECT_TRUE(signal.reached(0));
  EXPECT_FALSE(signal.reached(1));
  signal.publish(0xffffffff, false);
  EXPECT_TRUE(signal.reached(0xfffffff0));
  EXPECT_FALSE(signal.reached(2));
  signal.publish(3, false);
  EXPECT_TRUE(signal.reached(2));
  EXPECT_TRUE(signal.reached(0xffffffff));
}

TEST(Signal, WakesASleeperAndShowsItWhatWasWritten) {
  for (const bool shared : {false, true})
    for (const int spin : {0, 50}) {
      Signal ping, pong;
      const Waiting how{nullptr, std::chrono::microseconds(spin), shared};
      std::uint32_t value = 0;  // written and read in turn, without a lock
      std::thread peer([&] {
        for (std::uint32_t i = 1; i <= 2000; ++i) {
          ASSERT_EQ(ping.wait(i, how, in(10000)), Wake::ready);
          ++value;
          pong.publish(i, shared);
        }
      });
      for (std::uint32_t i = 1; i <= 2000; ++i) {
        ++value;
        ping.publish(i, shared);
        ASSERT_EQ(pong.wait(i, how, in(10000)), Wake::ready);
        ASSERT_EQ(value, 2 * i);
      }
      peer.join();
    }
}

TEST(Signal, ReadyThenAbortedThenTimeout) {
  Signal signal;
  JobAbort abort;
  const Waiting how{&abort, {}, false};
  EXPECT_EQ(signal.wait(1, how, in(1)), Wake::timeout);
  abort.raise(ErrorCode::lost, "rank 1 died");
  EXPECT_EQ(signal.wait(1, how, in(1)), Wake::aborted);
  signal.publish(1, false);
  EXPECT_EQ(signal.wait(1, how, in(1)), Wake::ready);
}

TEST(JobAbort, TheFirstCauseStands) {
  JobAbort abort;
  EXPECT_FALSE(abort.raised());
  abort.raise(ErrorCode::bad_model, "first");
  abort.raise(ErrorCode::lost, "second");
  EXPECT_TRUE(abort.raised());
  EXPECT_EQ(abort.error().code, ErrorCode::bad_model);
  EXPECT_EQ(abort.error().message, "first");
}

TEST(JobAbort, ALongCauseIsCut) {
  JobAbort abort;
  abort.raise(ErrorCode::lost, std::string(5000, 'x'));
  EXPECT_EQ(abort.error().message, std::string(503, 'x'));
}

}  // namespace
}  // namespace shardline::parallel
