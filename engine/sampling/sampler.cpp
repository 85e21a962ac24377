#include "engine/sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/sampling/philox.h"

namespace shardline {
namespace {

constexpr std::size_t kLanes = 16;

// exp(x) for x <= 0 in plain arithmetic that compilers vectorise; the C library's last bits vary. Below -87 it is 0.
inline float exp_negative(float x) {
  const float bounded = x > -87.0f ? x : -87.0f;
  const float shifted = bounded * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to nearest
  const float n = shifted - 12582912.0f;
  const float r = (bounded - n * 0.693145752f) - n * 1.42860677e-6f;
  const float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
  const float power = std::bit_cast<float>((std::bit_cast<std::int32_t>(shifted) - 0x4B400000 + 127) << 23);
  return x > -87.0f ? p * power : 0.0f;
}

// Folds a row in 16 lanes and then the lanes in ascending order: op(accumulator, element).
template <class Op>
float fold(std::span<const float> x, float start, Op op) {
  float lane[kLanes];
  std::fill_n(lane, kLanes, start);
  const std::size_t whole = x.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] = op(lane[j], x[i + j]);
  for (std::size_t i = whole; i < x.size(); ++i) lane[i - whole] = op(lane[i - whole], x[i]);
  return op(op(op(op(lane[0], lane[1]), op(lane[2], lane[3])), op(op(lane[4], lane[5]), op(lane[6], lane[7]))),
            op(op(op(lane[8], lane[9]), op(lane[10], lane[11])), op(op(lane[12], lane[13]), op(lane[14], lane[15]))));
}

float maximum(std::span<const float> x) {
  return fold(x, -std::numeric_limits<float>::infinity(), [](float a, float b) { return a > b ? a : b; });
}

bool all_finite(std::span<const float> x) {  // 0 * x is NaN for NaN and infinity
  float lane[kLanes] = {};
  const std::size_t whole = x.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lane[j] += 0.0f * x[i + j];
  for (std::size_t i = whole; i < x.size(); ++i) lane[0] += 0.0f * x[i];
  return std::all_of(lane, lane + kLanes, [](float v) { return v == 0.0f; });
}

constexpr std::size_t kSumChunk = 1024;

// Sum of exp((x - largest) / temperature) in double over chunks in ascending order; `weights` receives the terms.
double exp_sum(std::span<const float> x, float largest, float inverse_temperature, std::span<float> weights) {
  double total = 0;
  for (std::size_t first = 0; first < x.size(); first += kSumChunk) {
    const std::size_t count = std::min(kSumChunk, x.size() - first);
    for (std::size_t i = 0; i < count; ++i) weights[first + i] = exp_negative((x[first + i] - largest) * inverse_temperature);
    total += static_cast<double>(fold(weights.subspan(first, count), 0.0f, [](float a, float b) { return a + b; }));
  }
  return total;
}

std::uint64_t hash_bits(std::span<const float> x) {
  std::uint64_t h = 0xCBF29CE484222325;
  for (const float v : x) h = (h ^ std::bit_cast<std::uint32_t>(v)) * 0x100000001B3;
  return h;
}

bool better(const TokenLogprob& a, const TokenLogprob& b) { return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token; }

}  // namespace

Sampler::Sampler(int vocab) : weights_(static_cast<std::size_t>(vocab)) { candidates_.reserve(static_cast<std::size_t>(vocab)); }

SampleResult Sampler::sample(std::span<const float> logits, const PlanSample& want) {
  SampleResult result;
  result.slot = want.slot;
  if (want.sampling.hash_logits) result.logits_hash = hash_bits(logits);
  result.finite = all_finite(logits);
  if (!result.finite) return result;
  const float largest = maximum(logits);
  const Sampling& s = want.sampling;
  result.token = s.target >= 0 ? s.target : draw(logits, largest, want);
  if (s.logprobs >= 0 || s.target >= 0) {
    const double log_sum = std::log(exp_sum(logits, largest, 1.0f, weights_)) + static_cast<double>(largest);
    result.log_sum = static_cast<float>(log_sum);
    result.logprob = static_cast<float>(static_cast<double>(logits[static_cast<std::size_t>(result.token)]) - log_sum);
    if (s.logprobs > 0) top(logits, s.logprobs, log_sum, result);
  }
  return result;
}

TokenId Sampler::draw(std::span<const float> logits, float largest, const PlanSample& want) {
  const Sampling& s = want.sampling;
  if (s.temperature <= 0) return static_cast<TokenId>(std::find(logits.begin(), logits.end(), largest) - logits.begin());
  const double uniform = philox_uniform(s.seed, s.choice, static_cast<std::uint32_t>(want.position));
  if (s.top_k > 0 || s.top_p < 1 || s.min_p > 0) return draw_filtered(logits, largest, want, uniform);
  const double total = exp_sum(logits, largest, 1.0f / s.temperature, weights_);
  double left = uniform * total;
  TokenId last = 0;  // with a weight; taken where rounding leaves a rest
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] <= 0) continue;
    last = static_cast<TokenId>(i);
    left -= static_cast<double>(weights_[i]);
    if (left < 0) break;
  }
  return last;
}

TokenId Sampler::draw_filtered(std::span<const float> logits, float largest, const PlanSample& want, double uniform) {
  const Sampling& s = want.sampling;
  exp_sum(logits, largest, 1.0f / s.temperature, weights_);
  candidates_.clear();
  const float least = std::max(s.min_p, std::numeric_limits<float>::min());  // the best token's weight is 1
  for (std::size_t i = 0; i < weights_.size(); ++i)
    if (weights_[i] >= least) candidates_.push_back({static_cast<TokenId>(i), weights_[i]});
  if (s.top_k > 0 && static_cast<std::size_t>(s.top_k) < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + s.top_k, candidates_.end(), better);  // sorted: the sum below has one order
    candidates_.resize(static_cast<std::size_t>(s.top_k));
  }
  double total = 0;
  for (const TokenLogprob& c : candidates_) total += static_cast<double>(c.logprob);
  // The nucleus is usually a few tokens: sort the best 64, then four times as many, and so on.
  const std::size_t count = candidates_.size();
  std::size_t kept = 0;
  double mass = 0;
  const auto enough = [&] { return kept > 0 && mass >= static_cast<double>(s.top_p) * total; };
  for (std::size_t sorted = 0, next = std::min<std::size_t>(64, count); kept < count && !enough(); next = std::min(next * 4, count)) {
    const auto at = [&](std::size_t i) { return candidates_.begin() + static_cast<std::ptrdiff_t>(i); };
    std::partial_sort(at(sorted), at(next), candidates_.end(), better);
    for (sorted = next; kept < sorted && !enough();) mass += static_cast<double>(candidates_[kept++].logprob);
  }
  double left = uniform * mass;
  for (std::size_t i = 0; i < kept; ++i) {
    left -= static_cast<double>(candidates_[i].logprob);
    if (left < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

void Sampler::top(std::span<const float> logits, int count, double log_sum, SampleResult& result) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) candidates_.push_back({static_cast<TokenId>(i), logits[i]});
  const auto end = candidates_.begin() + std::min(count, static_cast<int>(candidates_.size()));
  std::partial_sort(candidates_.begin(), end, candidates_.end(), better);
  result.top.assign(candidates_.begin(), end);
  for (TokenLogprob& t : result.top) t.logprob = static_cast<float>(static_cast<double>(t.logprob) - log_sum);
}

}  // namespace shardline
