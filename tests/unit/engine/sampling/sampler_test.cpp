#include "engine/sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/sampling/philox.h"

namespace shardline {
namespace {

PlanSample want(float temperature, std::uint64_t seed = 1, int position = 5) {
  PlanSample s;
  s.position = position;
  s.sampling.temperature = temperature;
  s.sampling.seed = seed;
  return s;
}

std::vector<float> random_logits(int vocab, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(static_cast<std::size_t>(vocab));
  for (float& v : x) v = normal(random);
  return x;
}

// The vectors published with the algorithm (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sampler, GreedyTakesTheLowestOfEqualBests) {
  auto x = random_logits(1000, 1);
  x[700] = x[31] = x[999] = 50;
  Sampler sampler(1000);
  EXPECT_EQ(sampler.sample(x, want(0)).token, 31);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const auto x = random_logits(20, 2);
  Sampler sampler(20);
  std::vector<int> counts(20);
  const int draws = 40000;
  for (int i = 0; i < draws; ++i) ++counts[static_cast<std::size_t>(sampler.sample(x, want(0.7f, 99, i)).token)];
  double sum = 0;
  for (const float v : x) sum += std::exp(v / 0.7);
  for (std::size_t t = 0; t < 20; ++t) {
    const double p = std::exp(x[t] / 0.7) / sum;
    EXPECT_NEAR(counts[t] / double(draws), p, 5 * std::sqrt(p / draws) + 1e-4) << t;
  }
}

TEST(Sampler, DependsOnSeedChoiceAndPositionOnly) {
  const auto x = random_logits(5000, 3);
  Sampler a(5000), b(5000);
  b.sample(random_logits(5000, 4), want(1));
  EXPECT_EQ(a.sample(x, want(1, 7, 9)).token, b.sample(x, want(1, 7, 9)).token);
  int differ = 0;
  for (int i = 0; i < 20; ++i) {
    PlanSample other = want(1, 7, 9);
    other.sampling.choice = static_cast<std::uint32_t>(i);
    differ += a.sample(x, other).token != a.sample(x, want(1, 7, 9)).token;
  }
  EXPECT_GT(differ, 10);
}

// Every filter keeps exactly the set that its definition names.
TEST(Sampler, FiltersKeepTheRightTokens) {
  const auto x = random_logits(300, 5);
  std::vector<int> order(300);
  for (int i = 0; i < 300; ++i) order[static_cast<std::size_t>(i)] = i;
  std::sort(order.begin(), order.end(), [&](int a, int b) { return x[static_cast<std::size_t>(a)] > x[static_cast<std::size_t>(b)]; });
  const auto p = [&](int rank) { return std::exp(double(x[static_cast<std::size_t>(order[static_cast<std::size_t>(rank)])]) - double(x[static_cast<std::size_t>(order[0])])); };
  double total = 0;
  for (int i = 0; i < 300; ++i) total += p(i);
  int nucleus = 0, likely = 0;
  for (double mass = 0; mass < 0.8 * total; ++nucleus) mass += p(nucleus);
  while (likely < 300 && p(likely) >= 0.2) ++likely;

  const auto kept = [&](auto set) {
    Sampler sampler(300);
    std::vector<bool> seen(300);
    for (int i = 0; i < 20000; ++i) {
      PlanSample s = want(1, 11, i);
      set(s.sampling);
      seen[static_cast<std::size_t>(sampler.sample(x, s).token)] = true;
    }
    return seen;
  };
  const auto expect = [&](const std::vector<bool>& seen, int count) {
    for (int i = 0; i < 300; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])], i < count) << "rank " << i << " of " << count;
  };
  expect(kept([](Sampling& s) { s.top_k = 5; }), 5);
  expect(kept([](Sampling& s) { s.min_p = 0.2f; }), likely);
  const auto seen = kept([](Sampling& s) { s.top_p = 0.8f; });
  for (int i = nucleus; i < 300; ++i) EXPECT_FALSE(seen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
  EXPECT_TRUE(seen[static_cast<std::size_t>(order[0])]);
}

TEST(Sampler, LogprobsAreThoseOfTheUnmodifiedDistribution) {
  const auto x = random_logits(49152, 6);
  Sampler sampler(49152);
  PlanSample s = want(0.5f);
  s.sampling.logprobs = 20;
  s.sampling.top_k = 3;
  const SampleResult r = sampler.sample(x, s);
  double sum = 0;
  for (const float v : x) sum += std::exp(double(v));
  EXPECT_NEAR(r.logprob, double(x[static_cast<std::size_t>(r.token)]) - std::log(sum), 1e-5);
  EXPECT_NEAR(r.log_sum, std::log(sum), 1e-5);
  ASSERT_EQ(r.top.size(), 20u);
  for (std::size_t i = 1; i < 20; ++i) EXPECT_GE(r.top[i - 1].logprob, r.top[i].logprob);
  EXPECT_FLOAT_EQ(r.top[0].logprob, *std::max_element(x.begin(), x.end()) - r.log_sum);
}

TEST(Sampler, TargetIsScoredNotDrawn) {
  const auto x = random_logits(100, 7);
  Sampler sampler(100);
  PlanSample s = want(1);
  s.sampling.target = 42;
  const SampleResult r = sampler.sample(x, s);
  EXPECT_EQ(r.token, 42);
  EXPECT_NEAR(r.logprob + r.log_sum, x[42], 1e-5);
}

TEST(Sampler, OneBadLogitIsReported) {
  Sampler sampler(1003);
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY})
    for (const std::size_t at : {std::size_t{0}, std::size_t{500}, std::size_t{1002}}) {
      auto x = random_logits(1003, 8);
      EXPECT_TRUE(sampler.sample(x, want(1)).finite);
      x[at] = bad;
      EXPECT_FALSE(sampler.sample(x, want(1)).finite);
    }
}

TEST(Sampler, HashSeesEveryBit) {
  auto x = random_logits(100, 9);
  Sampler sampler(100);
  PlanSample s = want(0);
  s.sampling.hash_logits = true;
  const auto before = sampler.sample(x, s).logits_hash;
  x[50] = std::nextafter(x[50], 100.0f);
  EXPECT_NE(before, sampler.sample(x, s).logits_hash);
}

}  // namespace
}  // namespace shardline
