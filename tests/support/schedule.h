// Random schedules for the exactness tests: a fixed set of requests, run through the real scheduler and an executor in a way drawn from a
// seed. Whatever the way, tokens and the hashes of the logits must be those of the plain run.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "scheduler/scheduler.h"

namespace shardline::test {

// How a set of requests is run.
struct Schedule {
  int tp = 1, pp = 1, threads = 1;
  int max_rows = 512;      // chunk size
  int max_sequences = 64;
  int blocks = 0;
  int depth = 1;
  bool prefix_cache = false;
  std::uint64_t order_seed = 0;  // order and spacing of arrivals; 0: one request after another
  std::string text() const;
};

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<std::uint64_t> hashes;  // of the logits that each token was drawn from
  bool operator==(const Answer&) const = default;
};
using Answers = std::map<std::pair<scheduler::RequestId, int>, Answer>;  // by request and choice

// What happened, over all schedules: the test fails where a kind of event never occurred.
struct Events {
  std::uint64_t schedules = 0, prefix_hits = 0, preemptions = 0, chunk_borders = 0, choices = 0, uneven_tp = 0, one_thread = 0, two_threads = 0, sampled = 0, greedy = 0;
};

// Requests over a vocabulary: short and long prompts, shared prefixes, greedy and sampled, n > 1. Ids from 1.
std::vector<scheduler::Request> make_requests(int vocab, int longest_prompt, int max_tokens, int count, std::uint64_t seed);

// A schedule drawn from a seed. `needed_blocks` is what the largest request needs.
Schedule draw_schedule(std::uint64_t seed, int max_tp, int max_pp, int needed_blocks);

// The plain run: one request after another, whole prompts, no prefix cache.
Schedule plain_schedule(int blocks);

// Runs the requests to their ends. `wrong` receives an error that ended the run early.
Answers run_schedule(const Schedule& schedule, const std::vector<scheduler::Request>& requests, Executor& executor, int context, Events& events, std::string& wrong);

// The first difference, for people; empty where equal.
std::string difference(const Answers& want, const Answers& got);

}  // namespace shardline::test
