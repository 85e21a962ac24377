#include "parallel/plan_pipeline.h"

#include <fmt/core.h>

#include "engine/base/check.h"
#include "parallel/plan_codec.h"

namespace shardline::parallel {

PlanPipeline::PlanPipeline(const Topology& topology, const ExecutorOptions& options, int depth, const ChannelMaker& make_channel)
    : options_(options), depth_(depth) {
  const auto name = [](int rank) { return fmt::format("rank {}", rank); };
  for (int rank = 0; rank < topology.world(); ++rank) plans_.push_back(make_channel({Link::plan, 0, rank}, name(rank)));
  const int last = topology.result_rank();
  results_ = make_channel({Link::result, last, 0}, name(last));
}

Status PlanPipeline::send_to_all(std::span<const std::byte> message) {
  const TimePoint deadline = Clock::now() + options_.patience;
  for (const auto& channel : plans_) {
    Status sent = channel->send(message, deadline);
    if (!sent.ok()) return Error{ErrorCode::lost, sent.error().message, ""};
  }
  return {};
}

Status PlanPipeline::submit(const StepPlan& plan) {
  CHECK(static_cast<int>(in_flight_.size()) < depth_, "{} plans in flight, depth {}", in_flight_.size(), depth_);
  encode(plan, message_);
  if (Status sent = send_to_all(message_); !sent.ok()) return sent;
  in_flight_.push_back(plan.number);
  return {};
}

Result<StepResult> PlanPipeline::next(TimePoint deadline) {
  CHECK(!in_flight_.empty(), "no plan in flight");
  for (;;) {
    if (Status got = results_->receive(message_, deadline); !got.ok()) return got.error();
    Result<StepResult> result = decode_result(message_);
    if (!result.ok()) return Error{ErrorCode::lost, result.error().message, ""};
    if (result->epoch != options_.epoch) continue;
    if (result->number != in_flight_.front())
      return Error{ErrorCode::lost, fmt::format("the result of plan {} where {} was due", result->number, in_flight_.front()), ""};
    in_flight_.pop_front();
    return result;
  }
}

Status PlanPipeline::finish() {
  while (!in_flight_.empty())
    if (Result<StepResult> result = next(Clock::now() + options_.patience); !result.ok()) return result.error();
  return send_to_all({});
}

int choose_depth(const Topology& topology, const ExecutorOptions& options, bool crowded) {
  if (options.depth > 0) return options.depth;
  return crowded ? 1 : topology.pp();
}

Duration choose_spin(bool crowded) { return crowded ? Duration::zero() : Duration(std::chrono::microseconds(30)); }

}  // namespace shardline::parallel
