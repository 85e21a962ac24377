// The controller's half of an executor: plans out to every rank, results back from the last stage, in order.
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "engine/executor.h"
#include "parallel/channel.h"
#include "parallel/rank_worker.h"

namespace shardline::parallel {

class PlanPipeline final : public Executor {
 public:
  PlanPipeline(const Topology& topology, const ExecutorOptions& options, int depth, const ChannelMaker& make_channel);

  int depth() const override { return depth_; }
  Status submit(const StepPlan& plan) override;
  Result<StepResult> next(TimePoint deadline) override;

  // Waits for the plans in flight, drops their results, and says goodbye to every rank. Errors: lost, timeout.
  Status finish();

 private:
  Status send_to_all(std::span<const std::byte> message);

  ExecutorOptions options_;
  int depth_;
  std::vector<std::unique_ptr<Channel>> plans_;  // [rank]
  std::unique_ptr<Channel> results_;
  std::deque<std::uint64_t> in_flight_;  // numbers, oldest first
  std::vector<std::byte> message_;
};

// options.depth, or what it stands for where 0: as many plans as stages where threads do not share cores.
int choose_depth(const Topology& topology, const ExecutorOptions& options, bool crowded);
// How long ranks spin before they sleep. Nothing where they share cores: the peer could be waiting for this one's core.
Duration choose_spin(bool crowded);

}  // namespace shardline::parallel
