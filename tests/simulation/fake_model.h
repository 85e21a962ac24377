// A model whose next token is a hash of all tokens so far, and of seed, choice and position where the request is sampled.
#pragma once
#include <cstdint>
#include <vector>

#include "scheduler/scheduler.h"

namespace shardline::simulation {

inline constexpr TokenId kVocabulary = 64;

constexpr std::uint64_t mix(std::uint64_t x) {  // splitmix64's finaliser
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// What a KV cell holds: the hash of all tokens up to and including its own.
constexpr std::uint64_t extend(std::uint64_t state, TokenId token) { return mix(state * 31 + static_cast<std::uint64_t>(token) + 1); }

// One draw in 1024 is not finite.
inline SampleResult draw(std::uint64_t state, const Sampling& sampling, int position) {
  if (sampling.temperature > 0) state = mix(mix(mix(state ^ sampling.seed) ^ sampling.choice) ^ static_cast<std::uint64_t>(position));
  SampleResult result;
  result.token = static_cast<TokenId>(state % kVocabulary);
  result.finite = (state >> 32) % 1024 != 0;
  result.logits_hash = state;
  return result;
}

// The whole stream of one choice, alone and undisturbed.
struct Expected {
  std::vector<SampleResult> samples;  // the last one is the end, of this kind:
  scheduler::Finish finish = scheduler::Finish::none;
};

inline Expected expect(const scheduler::Request& request, int choice) {
  Expected expected;
  Sampling sampling = request.sampling;
  sampling.choice = static_cast<std::uint32_t>(choice);
  std::uint64_t state = 0;
  for (const TokenId token : request.prompt) state = extend(state, token);
  while (expected.finish == scheduler::Finish::none) {
    const int position = static_cast<int>(request.prompt.size() + expected.samples.size());
    const SampleResult& sample = expected.samples.emplace_back(draw(state, sampling, position));
    state = extend(state, sample.token);
    bool stops = false;
    for (const TokenId token : request.stop_tokens) stops |= token == sample.token;
    if (!sample.finite)
      expected.finish = scheduler::Finish::error;
    else if (stops)
      expected.finish = scheduler::Finish::stop;
    else if (static_cast<int>(expected.samples.size()) == request.max_tokens)
      expected.finish = scheduler::Finish::length;
  }
  return expected;
}

}  // namespace shardline::simulation
