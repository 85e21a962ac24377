#include <gtest/gtest.h>

#include "parallel/ring_channel.h"
#include "tests/conformance/channel_conformance.h"
#include "tests/conformance/thread_group.h"

namespace shardline::parallel::conformance {
namespace {

constexpr std::size_t kRing = 8192;

struct Ends {
  explicit Ends(Duration spin = {})
      : region(std::move(Region::anonymous(RingChannel::bytes(kRing)).value())),
        sender(region.data(), kRing, {&abort, spin, false}, "rank 1"),
        receiver(region.data(), kRing, {&abort, spin, false}, "rank 0") {}
  Region region;
  JobAbort abort;
  RingChannel sender, receiver;
};

TEST(RingChannel, Conforms) {
  for (const int spin : {0, 30}) {
    Ends ends{std::chrono::microseconds(spin)};
    EXPECT_EQ(on_every_rank(
                  2, [&](int rank) { return rank == 0 ? send_everything(ends.sender, kRing) : receive_everything(ends.receiver, kRing); }),
              "");
  }
}

TEST(RingChannel, NamesThePeerThatIsLate) {
  Ends ends;
  std::vector<std::byte> message;
  const Status got = ends.receiver.receive(message, Clock::now() + std::chrono::milliseconds(5));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::timeout);
  EXPECT_EQ(got.error().message, "rank 0 sent no message in time");

  const std::vector<std::byte> large(2 * kRing);
  const Status sent = ends.sender.send(large, Clock::now() + std::chrono::milliseconds(5));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().message, "rank 1 took no message in time");
}

TEST(RingChannel, RefusesAMessageOfAnotherSizeThanDue) {
  Ends ends;
  ASSERT_TRUE(ends.sender.send(std::vector<std::byte>(10), Clock::now()).ok());
  std::vector<std::byte> message(12);
  const Status got = ends.receiver.receive_into(message, Clock::now());
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::io);
  EXPECT_EQ(got.error().message, "rank 0 sent 10 bytes where 12 were due");
}

TEST(RingChannel, EndsWithTheJob) {
  Ends ends;
  ends.abort.raise(ErrorCode::lost, "rank 3 died");
  std::vector<std::byte> message;
  const Status got = ends.receiver.receive(message, Clock::now() + std::chrono::hours(1));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::lost);
  EXPECT_EQ(got.error().message, "rank 3 died");
}

}  // namespace
}  // namespace shardline::parallel::conformance
