// shardline bench MODEL: tokens per second of prompts and of decodes, straight through the executor with tokens drawn at random.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <random>

#include "launcher/agreement.h"
#include "launcher/boot.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/machine.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

constexpr Duration kStepDeadline = std::chrono::minutes(5);

double seconds_since(TimePoint begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Sequences with a fixed run of KV blocks each, whose plans go to the executor one after another.
class Bench {
 public:
  Bench(Machine& machine, int sequence_tokens) : machine_(machine), blocks_((sequence_tokens + kBlockTokens - 1) / kBlockTokens) {}

  // Adds rows of sequence `slot` to a plan.
  void add(StepPlan& plan, int slot, std::span<const TokenId> tokens, int position, bool sample) const {
    const int row = plan.rows(), rows = static_cast<int>(tokens.size());
    plan.tokens.insert(plan.tokens.end(), tokens.begin(), tokens.end());
    plan.sequences.push_back({slot, row, rows, position, static_cast<int>(plan.block_tables.size()), blocks_});
    for (int b = 0; b < blocks_; ++b) plan.block_tables.push_back(slot * blocks_ + b);
    if (sample) plan.samples.push_back({row + rows - 1, slot, position + rows, {}});
  }

  // At most depth plans are in flight; `taken` hears each result.
  template <class Taken>
  Status submit(StepPlan plan, Taken taken) {
    if (in_flight_ == machine_.limits.depth)
      if (Status done = take(taken); !done) return done;
    plan.epoch = 1;
    plan.number = ++number_;
    ++in_flight_;
    return machine_.executor->submit(plan);
  }
  template <class Taken>
  Status finish(Taken taken) {
    while (in_flight_ > 0)
      if (Status done = take(taken); !done) return done;
    return {};
  }

  // The prompt in plans of max_rows. -> seconds
  Result<double> prefill(int slot, int tokens) {
    std::vector<TokenId> prompt(static_cast<std::size_t>(tokens));
    for (TokenId& token : prompt) token = static_cast<TokenId>(random_() % static_cast<unsigned>(machine_.config().vocab));
    const auto ignore = [](const StepResult&) {};
    const TimePoint begin = Clock::now();
    for (int done = 0; done < tokens;) {
      const int rows = std::min(machine_.limits.max_rows, tokens - done);
      StepPlan plan;
      add(plan, slot, std::span(prompt).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(rows)), done,
          done + rows == tokens);
      if (Status sent = submit(std::move(plan), ignore); !sent) return sent.error();
      done += rows;
    }
    if (Status done = finish(ignore); !done) return done.error();
    return seconds_since(begin);
  }

  // All sequences decode `steps` tokens, spread over as many micro-batches as plans can be in flight. -> seconds
  Result<double> decode(int batch, int context, int steps) {
    std::vector<TokenId> next(static_cast<std::size_t>(batch), 1);
    const auto keep = [&](const StepResult& result) {
      for (const SampleResult& sample : result.samples) next[static_cast<std::size_t>(sample.slot)] = sample.token;
    };
    const int groups = std::min(machine_.limits.depth, batch);
    const TimePoint begin = Clock::now();
    for (int step = 0; step < steps; ++step)
      for (int group = 0; group < groups; ++group) {
        // The results that this group's tokens come from are taken: with `groups` in flight, submit() takes the oldest first.
        if (in_flight_ == groups)
          if (Status done = take(keep); !done) return done.error();
        StepPlan plan;
        for (int slot = batch * group / groups; slot < batch * (group + 1) / groups; ++slot)
          add(plan, slot, std::span(&next[static_cast<std::size_t>(slot)], 1), context + step, true);
        if (Status sent = submit(std::move(plan), keep); !sent) return sent.error();
      }
    if (Status done = finish(keep); !done) return done.error();
    return seconds_since(begin);
  }

 private:
  template <class Taken>
  Status take(Taken& taken) {
    const auto result = machine_.executor->next(Clock::now() + kStepDeadline);
    if (!result) return result.error();
    --in_flight_;
    taken(*result);
    return {};
  }

  Machine& machine_;
  int blocks_;  // of each sequence
  int in_flight_ = 0;
  std::uint64_t number_ = 0;
  std::minstd_rand random_{1};
};

// Multiplications and additions of the matrix products of one token, the output head left out.
double operations_per_token(const Machine& machine) {
  using enum TensorRole;
  double weights = 0;
  for (int layer = 0; layer < machine.config().layers; ++layer)
    for (const TensorRole role : {attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down})
      if (const Tensor* t = machine.model.file->find(role, layer))
        weights += static_cast<double>(t->rows) * static_cast<double>(t->columns);
  return 2 * weights;
}

// Those of the output head.
double head_operations(const Machine& machine) {
  return 2.0 * machine.config().vocab * machine.config().dim;
}

// Those of the scores and the values, of one token with so many keys.
double attention_operations(const Machine& machine, double keys) {
  const ModelConfig& c = machine.config();
  return 4.0 * c.layers * c.query_heads * c.head_dim * keys;
}

// Bytes of weights and KV that one decode step of all ranks reads.
double bytes_per_step(const Machine& machine, double cached_tokens) {
  double bytes = 0;
  for (const StageMemory& memory : machine.memory)
    bytes += static_cast<double>(memory.weights) + static_cast<double>(memory.kv_block) / kBlockTokens * cached_tokens;
  return bytes;
}

boost::json::object describe(const Machine& machine) {
  return {{"model", machine.config().name}, {"kernels", machine.kernels}, {"tp", machine.topology.tp()},
          {"pp", machine.topology.pp()},    {"threads", machine.threads}, {"depth", machine.limits.depth}};
}

Status measure(Machine& machine, const BenchOptions& options, boost::json::object& out) {
  const int longest = std::max(options.prefill, options.steps ? options.context + options.steps : 1);
  Bench bench(machine, longest);
  if (options.prefill) {
    if (auto warm = bench.prefill(0, options.prefill); !warm) return warm.error();
    std::vector<double> rates;
    for (int i = 0; i < options.repeat; ++i) {
      const auto seconds = bench.prefill(0, options.prefill);
      if (!seconds) return seconds.error();
      rates.push_back(options.prefill / *seconds);
    }
    out["prefill"] = boost::json::object{{"tokens", options.prefill},
                                         {"tokens_per_second", median(rates)},
                                         {"all", boost::json::value_from(rates)},
                                         {"gops", median(rates) * operations_per_token(machine) / 1e9},
                                         {"attention_gops", median(rates) * attention_operations(machine, (options.prefill + 1) / 2.0) / 1e9}};
  }
  if (!options.steps) return {};
  for (int slot = 0; slot < options.batch; ++slot)
    if (auto filled = bench.prefill(slot, options.context); !filled) return filled.error();
  std::vector<double> rates;
  for (int i = 0; i < options.repeat; ++i) {
    const auto seconds = bench.decode(options.batch, options.context, options.steps);
    if (!seconds) return seconds.error();
    rates.push_back(options.batch * options.steps / *seconds);
  }
  const double steps_per_second = median(rates) / options.batch, cached = options.batch * (options.context + options.steps / 2.0);
  out["decode"] = boost::json::object{{"batch", options.batch},
                                      {"context", options.context},
                                      {"steps", options.steps},
                                      {"tokens_per_second", median(rates)},
                                      {"all", boost::json::value_from(rates)},
                                      {"gops", median(rates) * (operations_per_token(machine) + head_operations(machine)) / 1e9},
                                      {"gbps", steps_per_second * bytes_per_step(machine, cached) / 1e9}};
  return {};
}

int bench_machine(const Options& options) {
  const auto kernels = allowed_kernels(options.model.kernels);
  if (!kernels) return fail(kernels.error());
  const MachineLimits limits = measure_machine(kernels->back());
  if (options.json) {
    boost::json::object read, arithmetic;
    for (const auto& [threads, gbps] : limits.read_gbps) read[std::to_string(threads)] = gbps;
    for (const auto& [threads, rates] : limits.arithmetic)
      arithmetic[std::to_string(threads)] =
          boost::json::object{{"int8_gops", rates.int8_gops}, {"bf16_gflops", rates.bf16_gflops}, {"f32_gflops", rates.f32_gflops}};
    const boost::json::object object{
        {"processor", limits.processor}, {"kernels", limits.kernels}, {"read_gbps", read}, {"arithmetic", arithmetic}};
    fmt::print("{}\n", boost::json::serialize(object));
    return 0;
  }
  fmt::print("{}; instructions of the {} kernels\n{:>7}{:>13}{:>13}{:>15}{:>18}\n", limits.processor, limits.kernels, "threads",
             "memory GB/s", "int8 GOP/s", "bf16 GFLOP/s", "float32 GFLOP/s");
  for (std::size_t i = 0; i < limits.read_gbps.size(); ++i) {
    const ArithmeticLimits& rates = limits.arithmetic[i].second;
    fmt::print("{:>7}{:>13.1f}{:>13.0f}{:>15.0f}{:>18.0f}\n", limits.read_gbps[i].first, limits.read_gbps[i].second, rates.int8_gops,
               rates.bf16_gflops, rates.f32_gflops);
  }
  return 0;
}

}  // namespace

int run_bench(const Options& options, parallel::Job* job) {
  const BenchOptions& bench = options.bench;
  if (bench.machine) return bench_machine(options);
  if (!bench.prefill && !bench.steps) return fail({ErrorCode::usage, "nothing to measure: neither --prefill nor --steps", "--steps"});
  ModelOptions model = options.model;
  const int longest = std::max(bench.prefill, bench.steps ? bench.context + bench.steps : 1);
  model.max_model_len = std::max(model.max_model_len, longest);
  model.max_num_batched_tokens = std::max(model.max_num_batched_tokens, bench.batch);
  auto machine = boot(model, job, bench.batch);
  if (!machine) return fail(machine.error());
  boost::json::object out = describe(*machine);
  if (Status done = measure(*machine, bench, out); !done) return fail(done.error());
  if (options.json) {
    fmt::print("{}\n", boost::json::serialize(out));
    return 0;
  }
  if (const auto* prefill = out.if_contains("prefill"))
    fmt::print("prefill of {} tokens: {:.1f} tokens/s, {:.1f} GOP/s\n", bench.prefill, prefill->at("tokens_per_second").as_double(),
               prefill->at("gops").as_double());
  if (const auto* decode = out.if_contains("decode"))
    fmt::print("decode, {} x {} tokens from context {}: {:.1f} tokens/s, {:.1f} GB/s\n", bench.batch, bench.steps, bench.context,
               decode->at("tokens_per_second").as_double(), decode->at("gbps").as_double());
  return 0;
}

}  // namespace shardline::launcher
