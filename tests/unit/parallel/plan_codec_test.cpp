#include "parallel/plan_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace shardline::parallel {
namespace {

StepPlan plan() {
  StepPlan p;
  p.epoch = 7;
  p.number = 1ull << 40;
  p.tokens = {5, 0, 49151, -1};
  p.sequences = {{3, 0, 1, 100, 0, 7}, {9, 1, 3, 0, 7, 1}};
  p.block_tables = {4, 3, 2, 1, 0, 9, 8, 77};
  p.samples = {{0, 3, 101, {}}, {3, 9, 3, {0.7f, 40, 0.9f, 0.05f, ~0ull, 2, 5, true, 17}}};
  return p;
}

StepResult result() {
  StepResult r;
  r.epoch = 7;
  r.number = 12;
  r.seconds = 0.25;
  r.samples.resize(2);
  r.samples[0].slot = 3;
  r.samples[0].logits_hash = 99;
  r.samples[0].log_sum = 8.5f;
  r.samples[1].token = 12;
  r.samples[1].finite = false;
  r.samples[1].top = {{1, -1.0f}, {2, -2.0f}};
  return r;
}

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  std::vector<std::byte> bytes;
  encode(value, bytes);
  return bytes;
}

TEST(PlanCodec, PlanGoesThereAndBack) {
  const StepPlan p = plan(), q = decode_plan(bytes_of(p)).value();
  EXPECT_EQ(q.epoch, p.epoch);
  EXPECT_EQ(q.number, p.number);
  EXPECT_EQ(q.tokens, p.tokens);
  EXPECT_EQ(q.block_tables, p.block_tables);
  ASSERT_EQ(q.sequences.size(), 2u);
  EXPECT_EQ(q.sequences[0].first_position, 100);
  EXPECT_EQ(q.sequences[1].blocks, 1);
  ASSERT_EQ(q.samples.size(), 2u);
  EXPECT_EQ(q.samples[1].position, 3);
  const Sampling& s = q.samples[1].sampling;
  EXPECT_EQ(s.temperature, 0.7f);
  EXPECT_EQ(s.top_k, 40);
  EXPECT_EQ(s.top_p, 0.9f);
  EXPECT_EQ(s.min_p, 0.05f);
  EXPECT_EQ(s.seed, ~0ull);
  EXPECT_EQ(s.choice, 2u);
  EXPECT_EQ(s.logprobs, 5);
  EXPECT_TRUE(s.hash_logits);
  EXPECT_EQ(s.target, 17);
  EXPECT_FALSE(q.samples[0].sampling.hash_logits);
  EXPECT_EQ(bytes_of(q), bytes_of(p));
}

TEST(PlanCodec, ResultGoesThereAndBack) {
  const StepResult r = result(), q = decode_result(bytes_of(r)).value();
  EXPECT_EQ(q.number, 12u);
  EXPECT_EQ(q.seconds, 0.25);
  ASSERT_EQ(q.samples.size(), 2u);
  EXPECT_EQ(q.samples[0].logits_hash, 99u);
  EXPECT_EQ(q.samples[0].log_sum, 8.5f);
  EXPECT_FALSE(q.samples[1].finite);
  ASSERT_EQ(q.samples[1].top.size(), 2u);
  EXPECT_EQ(q.samples[1].top[1].token, 2);
  EXPECT_EQ(q.samples[1].top[1].logprob, -2.0f);
  EXPECT_EQ(bytes_of(q), bytes_of(r));
}

TEST(PlanCodec, RefusesEveryTruncationAndEveryTail) {
  const std::vector<std::byte> whole = bytes_of(plan());
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(decode_plan(std::span(whole).first(n)).ok()) << n;
  std::vector<std::byte> longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_plan(longer).ok());
  EXPECT_FALSE(decode_result(whole).ok());
  EXPECT_EQ(decode_result(whole).error().code, ErrorCode::io);
}

TEST(PlanCodec, AlteredBytesGiveAnErrorOrAPlan) {
  std::mt19937 rng(1);
  const std::vector<std::byte> plan_bytes = bytes_of(plan()), result_bytes = bytes_of(result());
  int refused = 0, accepted = 0;
  for (int i = 0; i < 200000; ++i) {
    std::vector<std::byte> bytes = i % 2 ? plan_bytes : result_bytes;
    for (unsigned flips = 1 + rng() % 4; flips > 0; --flips) bytes[rng() % bytes.size()] ^= static_cast<std::byte>(1u << (rng() % 8));
    const bool ok = i % 2 ? decode_plan(bytes).ok() : decode_result(bytes).ok();
    ++(ok ? accepted : refused);
  }
  EXPECT_GT(refused, 10000);
  EXPECT_GT(accepted, 10000);
}

TEST(PlanCodec, AHugeCountAllocatesNothing) {
  std::vector<std::byte> bytes = bytes_of(StepPlan{});
  const std::uint32_t huge = 0xffffffff;
  for (std::size_t at = 20; at + 4 <= bytes.size(); at += 4) {  // each of the four counts
    std::vector<std::byte> altered = bytes;
    std::memcpy(altered.data() + at, &huge, sizeof huge);
    EXPECT_FALSE(decode_plan(altered).ok());
  }
}

}  // namespace
}  // namespace shardline::parallel
