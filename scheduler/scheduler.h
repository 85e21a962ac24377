// Decides what runs in each step: continuous batching over a paged KV cache. Knows no tensors, clocks, sockets or ranks: time and
// results are passed in, plans come out. One thread owns it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/step.h"

namespace shardline::scheduler {

using RequestId = std::uint64_t;

enum class Policy { fcfs, priority };  // priority: lower value first, then arrival

struct Limits {
  int max_rows = 512;      // token budget of a plan
  int max_sequences = 64;  // running at once
  int max_queue = 1024;    // requests waiting; one more is refused
  int blocks = 0;          // KV blocks of the pool
  int context = 0;         // tokens of a sequence, prompt and answer
  int depth = 1;           // plans in flight (Executor::depth)
  bool prefix_cache = true;
  Policy policy = Policy::fcfs;
  std::uint64_t epoch = 1;
};

struct Request {
  RequestId id = 0;                  // unique, chosen by the caller
  std::vector<TokenId> prompt;       // at least one token
  Sampling sampling;                 // seed set; choice is filled per sequence
  int n = 1;                         // choices; they share the prompt's full KV blocks
  int max_tokens = 16;               // per choice
  std::vector<TokenId> stop_tokens;  // end a choice (EOS and the like); empty to ignore them
  int priority = 0;
};

enum class Finish { none, stop, length, cancelled, error };

// One new token of one choice, in order; or its end without a token (cancelled, error).
struct TokenEvent {
  RequestId request = 0;
  int choice = 0;
  SampleResult sample;  // sample.token is the token; meaningless where has_token is false
  bool has_token = false;
  Finish finish = Finish::none;
  int cached_tokens = 0;  // prompt tokens that came from the prefix cache, known from the first event on
};

struct Stats {
  int running = 0, waiting = 0;     // choices
  int blocks = 0, blocks_used = 0;  // used: referenced by a sequence; blocks that are only cached are free for use
  int blocks_cached = 0;
  std::uint64_t plans = 0, preemptions = 0;
  std::uint64_t prompt_tokens = 0;  // computed in prefill
  std::uint64_t generated_tokens = 0;
  std::uint64_t prefix_queries = 0, prefix_hits = 0;  // tokens looked up and found
};

class Scheduler {
 public:
  explicit Scheduler(const Limits& limits);
  ~Scheduler();

  // Errors: exhausted (the queue is full), invalid_argument (prompt + max_tokens beyond the context or beyond what the whole pool holds).
  Status submit(Request request, TimePoint now);
  // Ends a request (or one of its choices, choice >= 0) within one step. Its blocks are freed once no plan in flight names them.
  // Yields no event. Unknown ids are ignored.
  void cancel(RequestId id, int choice = -1);

  // The next plan, or nothing where none is due (idle, or depth plans in flight).
  std::optional<StepPlan> plan(TimePoint now);
  // Takes the results of plans in the order of the plans.
  std::vector<TokenEvent> apply(const StepResult& result, TimePoint now);

  bool idle() const;      // no request waits, runs or retires
  int in_flight() const;  // plans whose result is due
  Stats stats() const;

  // Every block is free, cached or referenced, with right counts; every table is consistent. CHECKs; for tests after every step.
  void check_integrity() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::scheduler
