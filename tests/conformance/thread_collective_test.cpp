// The conformance suite over ranks as threads, and the proof that it catches what it must.
#include <gtest/gtest.h>

#include <barrier>
#include <mutex>

#include "tests/conformance/collective_conformance.h"
#include "tests/conformance/thread_group.h"

namespace shardline::parallel::conformance {
namespace {

constexpr std::size_t kSmallSlot = 1024;  // so that "larger than a slot" is quick

using Case = std::tuple<int, Exchange, bool>;  // ranks, exchange, spinning

class ThreadCollective : public testing::TestWithParam<Case> {};

TEST_P(ThreadCollective, ConformsInEveryShapeAndSize) {
  const auto [size, exchange, spin] = GetParam();
  ThreadGroup group(size, exchange, kSmallSlot);
  if (spin) group.spin = std::chrono::microseconds(30);
  EXPECT_EQ(group.run([](Collective& c) { return check_everything(c, kSmallSlot); }), "");
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadCollective,
                         testing::Combine(testing::Range(1, 10), testing::Values(Exchange::one_shot, Exchange::two_shot), testing::Bool()));

TEST(ThreadCollective, ConformsAtTheSlotSizeThatShips) {
  const int groups[] = {3, 3, 3};
  for (const Exchange exchange : {Exchange::automatic, Exchange::one_shot, Exchange::two_shot}) {
    ThreadGroup group(3, exchange, ShmCollective::kSlotFloats);
    EXPECT_EQ(group.run([&](Collective& c) { return check_sum(c, groups, Values::floats, 5, 3 * ShmCollective::kSlotFloats + 7); }), "");
  }
}

TEST(ThreadCollective, ManyShortExchangesReuseTheSlots) {
  ThreadGroup group(4, Exchange::automatic, kSmallSlot);
  const int groups[] = {4, 4};
  EXPECT_EQ(group.run([&](Collective& c) {
    for (std::uint64_t i = 0; i < 3000; ++i)
      if (std::string wrong = check_sum(c, groups, Values::floats, i, 1 + i % 5); !wrong.empty()) return wrong;
    return std::string();
  }),
            "");
}

TEST(ThreadCollective, NamesThePeerThatDoesNotCome) {
  ThreadGroup group(3, Exchange::one_shot, kSmallSlot);
  const int groups[] = {3};
  const std::string wrong =
      group.run([&](Collective& c) { return c.rank() == 1 ? std::string() : check_sum(c, groups, Values::integers, 1, 10); },
                std::chrono::milliseconds(100));
  EXPECT_EQ(wrong, "rank 1 did not come to exchange 1 of its group within 0.1 s");
}

TEST(ThreadCollective, LeavesTheWaitWhenTheJobEnds) {
  ThreadGroup group(2, Exchange::one_shot, kSmallSlot);
  const int groups[] = {2};
  const std::string wrong = group.run([&](Collective& c) {
    if (c.rank() == 0) return check_sum(c, groups, Values::integers, 1, 10);
    group.abort.raise(ErrorCode::lost, "rank 7 died");
    return std::string();
  });
  EXPECT_EQ(wrong, "rank 7 died");
}

// Adds whatever comes first: what an all-reduce with atomics or in ring order does.
class ArrivalOrder final : public Collective {
 public:
  struct Shared {
    explicit Shared(int size) : all_in(size), all_out(size) {}
    std::mutex mutex;
    std::vector<float> total;
    std::barrier<> all_in, all_out;
  };
  ArrivalOrder(Shared& shared, int rank, int size) : shared_(shared), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void sum(const ReductionTree&, std::span<const float> roots, std::span<float> total) override {
    {
      const std::scoped_lock lock(shared_.mutex);
      shared_.total.resize(total.size(), 0.0f);
      for (std::size_t i = 0; i < roots.size(); ++i) shared_.total[i % total.size()] += roots[i];
    }
    shared_.all_in.arrive_and_wait();
    std::copy(shared_.total.begin(), shared_.total.end(), total.begin());
    shared_.all_out.arrive_and_wait();
    if (rank_ == 0) shared_.total.clear();
    shared_.all_in.arrive_and_wait();
  }
  void gather(std::span<const std::size_t>, std::span<const float>, std::span<float>) override {}

 private:
  Shared& shared_;
  int rank_, size_;
};

TEST(Conformance, CatchesAReductionInOrderOfArrival) {
  constexpr int kRanks = 4;
  const int groups[] = {4, 4, 4, 4};
  ArrivalOrder::Shared shared(kRanks);
  const auto check = [&](Values values) {
    return on_every_rank(kRanks, [&](int rank) {
      ArrivalOrder collective(shared, rank, kRanks);
      return check_sum(collective, groups, values, 3, 500);
    });
  };
  EXPECT_EQ(check(Values::integers), "");  // it does add everything
  EXPECT_NE(check(Values::floats), "");    // but not in the order that makes the bits
}

}  // namespace
}  // namespace shardline::parallel::conformance
