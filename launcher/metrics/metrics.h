// What the server tells Prometheus: vLLM's names and buckets under a prefix of our own, so that dashboards port by prefix.
// A choice of a request is what vLLM calls a request. All times are of this process's steady clock.
#pragma once
#include <memory>
#include <string>

#include "scheduler/scheduler.h"

namespace shardline::launcher {

class Metrics {
 public:
  // `prefix` begins every name ("shardline_", "vllm:"); `context` bounds the buckets of token counts.
  Metrics(const std::string& prefix, const std::string& model_name, int context);
  ~Metrics();

  // Called by the step thread: each costs well under a microsecond.
  void step(int rows);  // a plan was sent
  void submitted(int n, int max_tokens);
  void first_token(double seconds, int prompt_tokens, int cached_tokens);  // since the request arrived
  void next_token(double seconds);                                         // since the token before
  struct Finished {
    scheduler::Finish finish = scheduler::Finish::none;
    int prompt_tokens = 0, generated_tokens = 0;
    double total = 0, queue = 0, prefill = 0, decode = 0;  // seconds; the last three count where there is a token
  };
  void finished(const Finished& f);
  void refused();  // the queue was full

  // The exposition format (text, version 0.0.4). Any thread.
  std::string text(const scheduler::Stats& stats);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::launcher
