// shardline perplexity MODEL FILE: exp of the mean negative log likelihood of the second halves of windows of 512 tokens, as
// llama-perplexity counts it: tokens 257 to 511 of each window are scored, what is left after the last whole window is not.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <system_error>

#include "launcher/boot.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/text_input.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

constexpr int kWindow = 512, kFirstScored = 257;
constexpr int kSamples = 64;  // of a plan: what a result message and the logits' buffers hold
constexpr Duration kStepDeadline = std::chrono::minutes(2);

struct Score {
  double negative_log_likelihood = 0;
  std::int64_t tokens = 0;
  int windows = 0;
  double perplexity() const { return std::exp(negative_log_likelihood / static_cast<double>(tokens)); }
};

// The rows of one window, a plan's worth from `row` on. Every window writes over the KV of the one before.
StepPlan window_plan(std::span<const TokenId> window, int row, int max_rows, std::uint64_t number) {
  const int first_sampled = kFirstScored - 1;  // the row that predicts token kFirstScored
  const int end = row < first_sampled ? std::min(first_sampled, row + max_rows) : std::min({kWindow - 1, row + max_rows, row + kSamples});
  StepPlan plan;
  plan.epoch = 1;
  plan.number = number;
  plan.tokens.assign(window.begin() + row, window.begin() + end);
  plan.sequences.push_back({0, 0, end - row, row, 0, kWindow / kBlockTokens});
  for (int b = 0; b < kWindow / kBlockTokens; ++b) plan.block_tables.push_back(b);
  for (int r = std::max(row, first_sampled); r < end; ++r) {
    PlanSample sample;
    sample.row = r - row;
    sample.position = r + 1;
    sample.sampling.target = window[static_cast<std::size_t>(r + 1)];
    plan.samples.push_back(sample);
  }
  return plan;
}

class Scorer {
 public:
  explicit Scorer(Machine& machine) : machine_(machine) {}

  Result<Score> score(const std::vector<TokenId>& tokens) {
    score_.windows = static_cast<int>(tokens.size()) / kWindow;
    Progress progress("perplexity", 1);
    const auto report = progress.part(0);
    for (int w = 0; w < score_.windows; ++w) {
      std::vector<TokenId> window(tokens.begin() + w * kWindow, tokens.begin() + (w + 1) * kWindow);
      const TokenizerSpec& spec = machine_.tokenizer()->spec();
      if (spec.add_bos && spec.bos >= 0) window.front() = spec.bos;
      for (int row = 0; row < kWindow - 1;) {
        const StepPlan plan = window_plan(window, row, machine_.limits.max_rows, number_++);
        row += plan.rows();
        if (Status sent = submit(plan); !sent) return sent.error();
      }
      report(static_cast<double>(w + 1) / score_.windows);
    }
    while (in_flight_ > 0)
      if (Status taken = take(); !taken) return taken.error();
    return score_;
  }

 private:
  Status submit(const StepPlan& plan) {
    if (in_flight_ == machine_.limits.depth)
      if (Status taken = take(); !taken) return taken;
    ++in_flight_;
    return machine_.executor->submit(plan);
  }

  Status take() {
    const auto result = machine_.executor->next(Clock::now() + kStepDeadline);
    if (!result) return result.error();
    --in_flight_;
    for (const SampleResult& sample : result->samples) {
      if (!sample.finite) return Error{ErrorCode::internal, "the model gave logits that are not finite", ""};
      score_.negative_log_likelihood -= sample.logprob;
      ++score_.tokens;
    }
    return {};
  }

  Machine& machine_;
  Score score_;
  int in_flight_ = 0;
  std::uint64_t number_ = 1;
};

Status read_tokens(const std::string& path, const Model& model, std::vector<TokenId>& tokens) {
  if (!model.tokenizer) return Error{ErrorCode::usage, "the model has no tokenizer", ""};
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorCode::not_found, fmt::format("{}: {}", path, std::generic_category().message(errno)), ""};
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (Status valid = check_utf8(text, path); !valid) return valid;
  tokens = model.tokenizer->encode(text);
  if (tokens.size() >= kWindow) return {};
  return Error{ErrorCode::usage, fmt::format("{} has {} tokens, {} are needed", path, tokens.size(), kWindow), ""};
}

}  // namespace

int run_perplexity(const Options& options, parallel::Job* job) {
  ModelOptions model = options.model;
  model.max_model_len = std::max(model.max_model_len, kWindow);
  std::vector<TokenId> tokens;
  auto machine = boot(model, job, 1,
                      [&](const Model& opened) { return is_controller(job) ? read_tokens(options.text_file, opened, tokens) : Status(); });
  if (!machine) return fail(machine.error());

  const TimePoint begin = Clock::now();
  const auto score = Scorer(*machine).score(tokens);
  if (!score) return fail(score.error());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (options.json)
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"perplexity", score->perplexity()},
                                                                  {"tokens", score->tokens},
                                                                  {"windows", score->windows},
                                                                  {"kernels", machine->kernels},
                                                                  {"compute", model.compute == Compute::f32 ? "f32" : "fast"},
                                                                  {"seconds", seconds}}));
  else
    fmt::print("perplexity {:.4f} over {} tokens of {} windows, {:.0f} tokens/s\n", score->perplexity(), score->tokens, score->windows,
               score->windows * kWindow / seconds);
  return 0;
}

}  // namespace shardline::launcher
