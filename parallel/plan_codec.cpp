#include "parallel/plan_codec.h"

#include <fmt/core.h>

#include "parallel/wire.h"

namespace shardline {

template <class Archive>
void fields(Archive& archive, Sampling& s) {
  archive(s.temperature, s.top_k, s.top_p, s.min_p, s.seed, s.choice, s.logprobs, s.hash_logits, s.target);
}

template <class Archive>
void fields(Archive& archive, PlanSample& s) {
  archive(s.row, s.slot, s.position, s.sampling);
}

template <class Archive>
void fields(Archive& archive, StepPlan& p) {
  archive(p.epoch, p.number, p.tokens, p.sequences, p.block_tables, p.samples);
}

template <class Archive>
void fields(Archive& archive, TokenLogprob& t) {
  archive(t.token, t.logprob);
}

template <class Archive>
void fields(Archive& archive, SampleResult& s) {
  archive(s.slot, s.token, s.finite, s.logprob, s.log_sum, s.logits_hash, s.top);
}

template <class Archive>
void fields(Archive& archive, StepResult& r) {
  archive(r.epoch, r.number, r.samples, r.seconds);
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
