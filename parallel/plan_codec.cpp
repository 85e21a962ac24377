#include "parallel/plan_codec.h"

#include <fmt/core.h>

#include "parallel/wire.h"

namespace shardline {

// The bindings name every member, so that one added to step.h and forgotten here does not compile.
template <class Archive>
void fields(Archive& archive, Sampling& s) {
  auto& [temperature, top_k, top_p, min_p, seed, choice, logprobs, hash_logits, target] = s;
  archive(temperature, top_k, top_p, min_p, seed, choice, logprobs, hash_logits, target);
}

template <class Archive>
void fields(Archive& archive, PlanSample& s) {
  auto& [row, slot, position, sampling] = s;
  archive(row, slot, position, sampling);
}

template <class Archive>
void fields(Archive& archive, StepPlan& p) {
  auto& [epoch, number, tokens, sequences, block_tables, samples] = p;
  archive(epoch, number, tokens, sequences, block_tables, samples);
}

template <class Archive>
void fields(Archive& archive, TokenLogprob& t) {
  auto& [token, logprob] = t;
  archive(token, logprob);
}

template <class Archive>
void fields(Archive& archive, SampleResult& s) {
  auto& [slot, token, finite, logprob, log_sum, logits_hash, top] = s;
  archive(slot, token, finite, logprob, log_sum, logits_hash, top);
}

template <class Archive>
void fields(Archive& archive, StepResult& r) {
  auto& [epoch, number, samples, seconds] = r;
  archive(epoch, number, samples, seconds);
}

namespace parallel {
namespace {

// "SLP" or "SLR" and a version, which counts up with every change of step.h.
constexpr std::uint32_t kPlanTag = 0x01504c53, kResultTag = 0x01524c53;

template <class T>
void encode_as(std::uint32_t tag, const T& value, std::vector<std::byte>& out) {
  out.clear();
  WireWriter write(out);
  write(tag, value);
}

template <class T>
Result<T> decode_as(std::uint32_t tag, std::span<const std::byte> message) {
  WireReader read(message);
  std::uint32_t found = 0;
  T value;
  read(found);
  if (found != tag) return Error{ErrorCode::io, fmt::format("a message with tag {:08x} where {:08x} was due", found, tag), ""};
  read(value);
  if (!read.complete()) return Error{ErrorCode::io, fmt::format("a message of {} bytes that its counts do not fit", message.size()), ""};
  return value;
}

}  // namespace

void encode(const StepPlan& plan, std::vector<std::byte>& out) { encode_as(kPlanTag, plan, out); }
void encode(const StepResult& result, std::vector<std::byte>& out) { encode_as(kResultTag, result, out); }
Result<StepPlan> decode_plan(std::span<const std::byte> message) { return decode_as<StepPlan>(kPlanTag, message); }
Result<StepResult> decode_result(std::span<const std::byte> message) { return decode_as<StepResult>(kResultTag, message); }

}  // namespace parallel
}  // namespace shardline
