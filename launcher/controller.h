// Holds what must outlive a rank: the requests, their tokens so far, the scheduler. Runs the step loop on a thread of its own.
//   submit (any thread) -> scheduler's bounded queue -> step thread: plan -> executor -> events -> text -> sinks
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/executor.h"
#include "engine/text/tokenizer.h"
#include "scheduler/scheduler.h"

namespace shardline::launcher {

class Metrics;

struct GenerateRequest {
  std::vector<TokenId> prompt;
  Sampling sampling;  // seed must be set
  int n = 1;
  int max_tokens = 16;
  bool ignore_eos = false;
  std::vector<std::string> stop;  // stop strings; the text ends before the one that is complete first
  int priority = 0;
  bool text = true;  // decode to text (needs a tokenizer)
};

// What a sink hears, choice by choice, in order. Text is complete UTF-8 and never holds a stop string or its beginning.
struct GenerateEvent {
  int choice = 0;
  std::vector<SampleResult> tokens{};  // tokens that this piece of text accounts for (empty while text is held back)
  std::string text{};
  scheduler::Finish finish = scheduler::Finish::none;
  std::string stop_reason{};  // the stop string that ended the choice
  int cached_tokens = 0;
  std::string error{};                         // where finish is error
  ErrorCode error_code = ErrorCode::internal;  // internal: a logit was not finite; lost; unavailable: shut down
};
using Sink = std::function<void(GenerateEvent)>;  // never called twice at once; must not block

// A seed for a request that brings none. Any thread.
std::uint64_t random_seed();

class Controller {
 public:
  struct Options {
    scheduler::Limits limits;
    std::vector<TokenId> eos;
    Duration step_deadline = std::chrono::seconds(60);
    Metrics* metrics = nullptr;  // may be null; outlives the controller
  };
  // `tokenizer` may be null. All outlive the controller.
  Controller(Executor& executor, const Tokenizer* tokenizer, Options options);
  ~Controller();  // ends what still runs with an error event; plans in flight are waited for

  // Any thread. Errors: exhausted, invalid_argument, lost (the executor failed), unavailable (draining).
  Result<std::uint64_t> submit(GenerateRequest request, Sink sink);
  void cancel(std::uint64_t id);  // any thread; the sink hears nothing more

  // Refuses new requests, waits for the running ones until `urgent` (asked now and then), ends the rest with an error event.
  void drain(Duration at_most, const std::function<bool()>& urgent = {});
  bool ready() const;                                         // the executor works and no drain began
  std::string failure() const;                                // why not ready; empty while well
  void on_failure(std::function<void(std::string)> handler);  // called once, after every open sink heard its error
  scheduler::Stats stats() const;
  int retry_after() const;  // seconds until the queue should have drained, from the rate of late; 1 to 60

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::launcher
