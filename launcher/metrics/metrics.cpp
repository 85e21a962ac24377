#include "launcher/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

namespace shardline::launcher {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;
const Buckets kFirstToken = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560};
const Buckets kPerToken = {.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80};
const Buckets kRequest = {.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Buckets kIteration = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};
const Buckets kChoices = {1, 2, 5, 10, 20};

// 1, 2, 5, 10, ... up to `most`.
Buckets one_two_five(int most) {
  Buckets buckets;
  for (double decade = 1;; decade *= 10)
    for (const double digit : {1., 2., 5.}) {
      if (digit * decade > most) return buckets;
      buckets.push_back(digit * decade);
    }
}

}  // namespace

struct Metrics::Impl {
  Impl(const std::string& p, const std::string& model, int context)
      : prefix(p), labels{{"model_name", model}, {"engine", "0"}}, tokens(one_two_five(context)) {}

  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(prefix + name).Help(help).Register(registry).Add(labels);
  }
  prometheus::Counter& counter(const char* name, const char* help, prometheus::Labels more = {}) {
    more.insert(labels.begin(), labels.end());
    return prometheus::BuildCounter().Name(prefix + name + "_total").Help(help).Register(registry).Add(more);
  }
  prometheus::Histogram& histogram(const char* name, const char* help, const Buckets& buckets) {
    return prometheus::BuildHistogram().Name(prefix + name).Help(help).Register(registry).Add(labels, buckets);
  }
  prometheus::Counter& success(const char* reason) {
    return counter("request_success", "Requests that ended, by the reason why.", {{"finished_reason", reason}});
  }

  const std::string prefix;
  const prometheus::Labels labels;
  const Buckets tokens;
  prometheus::Registry registry;
  std::mutex scrape;

  prometheus::Gauge& running = gauge("num_requests_running", "Requests in the batch.");
  prometheus::Gauge& waiting = gauge("num_requests_waiting", "Requests that wait to be in the batch.");
  prometheus::Gauge& kv_usage = gauge("kv_cache_usage_perc", "Share of the KV blocks that running requests hold; 1 is all.");
  prometheus::Counter& prompt_tokens = counter("prompt_tokens", "Prompt tokens of requests whose prefill is done.");
  prometheus::Counter& cached_tokens = counter("prompt_tokens_cached", "Prompt tokens that came from the prefix cache.");
  prometheus::Counter& generation_tokens = counter("generation_tokens", "Tokens generated.");
  prometheus::Counter& prefix_queries = counter("prefix_cache_queries", "Tokens looked up in the prefix cache.");
  prometheus::Counter& prefix_hits = counter("prefix_cache_hits", "Tokens found in the prefix cache.");
  prometheus::Counter& preemptions = counter("num_preemptions", "Requests taken out of the batch to make room.");
  prometheus::Counter& rejections = counter("admission_rejections", "Requests refused at the door.", {{"reason", "max_num_queued_reqs"}});
  prometheus::Counter& stop = success("stop");
  prometheus::Counter& length = success("length");
  prometheus::Counter& abort = success("abort");
  prometheus::Counter& error = success("error");
  prometheus::Histogram& first = histogram("time_to_first_token_seconds", "From arrival to the first token.", kFirstToken);
  prometheus::Histogram& between = histogram("inter_token_latency_seconds", "From one token to the next.", kPerToken);
  prometheus::Histogram& per_token =
      histogram("request_time_per_output_token_seconds", "Mean time from one token to the next, by request.", kPerToken);
  prometheus::Histogram& total = histogram("e2e_request_latency_seconds", "From arrival to the last token.", kRequest);
  prometheus::Histogram& queue = histogram("request_queue_time_seconds", "From arrival to the first step.", kRequest);
  prometheus::Histogram& inference = histogram("request_inference_time_seconds", "From the first step to the last token.", kRequest);
  prometheus::Histogram& prefill = histogram("request_prefill_time_seconds", "From the first step to the first token.", kRequest);
  prometheus::Histogram& decode = histogram("request_decode_time_seconds", "From the first token to the last.", kRequest);
  prometheus::Histogram& request_prompt = histogram("request_prompt_tokens", "Prompt tokens of a request.", tokens);
  prometheus::Histogram& request_generation = histogram("request_generation_tokens", "Tokens generated for a request.", tokens);
  prometheus::Histogram& request_max = histogram("request_params_max_tokens", "max_tokens of a request.", tokens);
  prometheus::Histogram& request_n = histogram("request_params_n", "n of a request.", kChoices);
  prometheus::Histogram& iteration = histogram("iteration_tokens_total", "Tokens of a step: prompt tokens and decodes.", kIteration);
};

Metrics::Metrics(const std::string& prefix, const std::string& model_name, int context)
    : impl_(std::make_unique<Impl>(prefix, model_name, context)) {}
Metrics::~Metrics() = default;

void Metrics::step(int rows) { impl_->iteration.Observe(rows); }

void Metrics::submitted(int n, int max_tokens) {
  impl_->request_n.Observe(n);
  impl_->request_max.Observe(max_tokens);
}

void Metrics::first_token(double seconds, int prompt_tokens, int cached_tokens) {
  impl_->first.Observe(seconds);
  impl_->prompt_tokens.Increment(prompt_tokens);
  impl_->cached_tokens.Increment(cached_tokens);
  impl_->generation_tokens.Increment();
}

void Metrics::next_token(double seconds) {
  impl_->between.Observe(seconds);
  impl_->generation_tokens.Increment();
}

void Metrics::finished(const Finished& f) {
  using scheduler::Finish;
  Impl& m = *impl_;
  (f.finish == Finish::stop        ? m.stop
   : f.finish == Finish::length    ? m.length
   : f.finish == Finish::cancelled ? m.abort
                                   : m.error)
      .Increment();
  m.total.Observe(f.total);
  m.request_prompt.Observe(f.prompt_tokens);
  m.request_generation.Observe(f.generated_tokens);
  if (f.generated_tokens == 0) return;
  m.queue.Observe(f.queue);
  m.prefill.Observe(f.prefill);
  m.decode.Observe(f.decode);
  m.inference.Observe(f.prefill + f.decode);
  if (f.generated_tokens > 1) m.per_token.Observe(f.decode / (f.generated_tokens - 1));
}

void Metrics::refused() { impl_->rejections.Increment(); }

std::string Metrics::text(const scheduler::Stats& stats) {
  Impl& m = *impl_;
  const std::lock_guard lock(m.scrape);
  const auto raise = [](prometheus::Counter& counter, std::uint64_t to) { counter.Increment(static_cast<double>(to) - counter.Value()); };
  m.running.Set(stats.running);
  m.waiting.Set(stats.waiting);
  m.kv_usage.Set(stats.blocks > 0 ? static_cast<double>(stats.blocks_used) / stats.blocks : 0);
  raise(m.preemptions, stats.preemptions);
  raise(m.prefix_queries, stats.prefix_queries);
  raise(m.prefix_hits, stats.prefix_hits);
  return prometheus::TextSerializer().Serialize(m.registry.Collect());
}

}  // namespace shardline::launcher
