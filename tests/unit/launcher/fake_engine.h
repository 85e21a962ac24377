// An engine for tests of the launcher: a model of one line, a tokenizer of single bytes.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "engine/executor.h"
#include "engine/text/byte_alphabet.h"
#include "engine/text/tokenizer.h"

namespace shardline::launcher {

inline constexpr TokenId kImStart = 256, kImEnd = 257, kByteVocab = 258;

// Token i is byte i; two control tokens follow, of which the second ends a text.
inline Tokenizer byte_tokenizer() {
  TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre_tokenizer = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) spec.tokens.push_back(token_of_byte(static_cast<unsigned char>(byte)));
  spec.kinds.assign(256, TokenKind::normal);
  for (const char* control : {"<|im_start|>", "<|im_end|>"}) {
    spec.tokens.emplace_back(control);
    spec.kinds.push_back(TokenKind::control);
  }
  spec.eos = kImEnd;
  return std::move(*Tokenizer::create(std::move(spec)));
}

// The token after `last` at `position`.
using NextToken = std::function<TokenId(TokenId last, int position, const Sampling& sampling)>;

inline TokenId hashed_letter(TokenId last, int position, const Sampling& s) {
  std::uint64_t x = static_cast<std::uint64_t>(last) * 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(position) * 0xBF58476D1CE4E5B9u;
  if (s.temperature > 0) x += s.seed * 0x94D049BB133111EBu + s.choice;
  x = (x ^ (x >> 29)) * 0xD6E8FEB86659FD93u;
  return 'a' + static_cast<TokenId>((x >> 33) % 26);
}

// Says `text`, whatever came before, to a prompt of that many tokens; then ends.
inline NextToken says(std::string text, int prompt_tokens) {
  return [text = std::move(text), prompt_tokens](TokenId, int position, const Sampling&) {
    const auto i = static_cast<std::size_t>(position - prompt_tokens);
    return i < text.size() ? static_cast<TokenId>(static_cast<unsigned char>(text[i])) : kImEnd;
  };
}

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(NextToken next = hashed_letter, int depth = 2, Duration step = {})
      : next_(std::move(next)), depth_(depth), step_(step) {}

  int depth() const override { return depth_; }

  Status submit(const StepPlan& plan) override {
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return Error{ErrorCode::lost, lost_, ""};
    StepResult result{.epoch = plan.epoch, .number = plan.number, .samples = {}};
    for (const PlanSample& s : plan.samples) {
      SampleResult& r = result.samples.emplace_back();
      r.slot = s.slot;
      r.token = next_(plan.tokens[static_cast<std::size_t>(s.row)], s.position, s.sampling);
      r.finite = r.token >= 0;  // a model that says -1 has computed a NaN
      r.logprob = -0.5f;
      for (int k = 0; k < s.sampling.logprobs; ++k) r.top.push_back({r.token + k, -0.5f - static_cast<float>(k)});
    }
    rows += plan.rows();
    results_.push_back({Clock::now() + step_, std::move(result)});
    changed_.notify_all();
    return {};
  }

  Result<StepResult> next(TimePoint deadline) override {
    std::unique_lock lock(mutex_);
    const auto due = [&] { return !lost_.empty() || (!held_ && !results_.empty()); };
    if (!changed_.wait_until(lock, deadline, due)) return Error{ErrorCode::timeout, "rank 1 is silent", ""};
    if (!lost_.empty()) return Error{ErrorCode::lost, lost_, ""};
    changed_.wait_until(lock, results_.front().due, [&] { return !lost_.empty(); });
    if (!lost_.empty()) return Error{ErrorCode::lost, lost_, ""};
    StepResult result = std::move(results_.front().result);
    results_.pop_front();
    return result;
  }

  Status health() const override {
    const std::lock_guard lock(mutex_);
    return lost_.empty() ? Status() : Status(Error{ErrorCode::lost, lost_, ""});
  }

  void lose(std::string why) {
    const std::lock_guard lock(mutex_);
    lost_ = std::move(why);
    changed_.notify_all();
  }
  void hold(bool held) {  // no result comes back meanwhile
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }

  std::atomic<int> rows = 0;  // computed

 private:
  struct Flight {
    TimePoint due;
    StepResult result;
  };
  const NextToken next_;
  const int depth_;
  const Duration step_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Flight> results_;
  std::string lost_;
  bool held_ = false;
};

inline scheduler::Limits small_limits(int depth = 2) {
  scheduler::Limits limits;
  limits.max_rows = 64;
  limits.max_sequences = 8;
  limits.max_queue = 4;
  limits.blocks = 64;
  limits.context = 256;
  limits.depth = depth;
  return limits;
}

}  // namespace shardline::launcher
