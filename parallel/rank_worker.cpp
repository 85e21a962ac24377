#include "parallel/rank_worker.h"

#include <fmt/core.h>

#include <vector>

#include "parallel/plan_codec.h"

namespace shardline::parallel {
namespace {

constexpr Duration kIdle = std::chrono::seconds(10);  // of one wait for a plan; the job's end is noticed within it

// The pieces that one plan after another reuses.
struct Worker {
  ModelStage& stage;
  const RankLinks& links;
  const ExecutorOptions& options;
  std::vector<float> hidden = {};
  std::vector<std::byte> message = {};

  Status run(const StepPlan& plan);
};

Status Worker::run(const StepPlan& plan) {
  const TimePoint begin = Clock::now();
  hidden.resize(static_cast<std::size_t>(plan.rows()) * static_cast<std::size_t>(stage.config().dim));
  const std::span<float> rows(hidden);
  if (links.previous)
    if (Status got = links.previous->receive_into(std::as_writable_bytes(rows), begin + options.patience); !got.ok()) return got;

  StepResult result;
  const TimePoint forward = Clock::now();
  stage.forward(plan, rows, result);
  if (links.next) return links.next->send(std::as_bytes(rows), Clock::now() + options.patience);
  if (!links.results) return {};

  result.epoch = plan.epoch;
  result.number = plan.number;
  result.seconds = std::chrono::duration<double>(Clock::now() - forward).count();
  encode(result, message);
  return links.results->send(message, Clock::now() + options.patience);
}

Status serve(Worker& worker) {
  std::vector<std::byte> message;
  for (;;) {
    if (Status got = worker.links.plans->receive(message, Clock::now() + kIdle); !got.ok()) {
      if (got.error().code == ErrorCode::timeout) continue;
      return got;
    }
    if (message.empty()) return {};
    const Result<StepPlan> plan = decode_plan(message);
    if (!plan.ok()) return plan.error();
    if (plan->epoch != worker.options.epoch) continue;
    if (Status valid = check_plan(*plan, worker.stage.config(), worker.options.stage); !valid.ok()) return valid;
    if (Status done = worker.run(*plan); !done.ok()) return done;
  }
}

}  // namespace

RankLinks link_rank(const Topology& topology, int rank, std::unique_ptr<Collective> tp, const ChannelMaker& make_channel) {
  const auto name = [](int r) { return fmt::format("rank {}", r); };
  const int before = rank - topology.tp(), after = rank + topology.tp();
  RankLinks links;
  links.tp = std::move(tp);
  links.plans = make_channel({Link::plan, 0, rank}, "the controller");
  if (before >= 0) links.previous = make_channel({Link::hidden, before, rank}, name(before));
  if (after < topology.world()) links.next = make_channel({Link::hidden, rank, after}, name(after));
  if (rank == topology.result_rank()) links.results = make_channel({Link::result, rank, 0}, "the controller");
  return links;
}

Status serve_plans(ModelStage& stage, const RankLinks& links, const ExecutorOptions& options) {
  Worker worker{stage, links, options};
  try {
    return serve(worker);
  } catch (const RankLost& lost) {
    return Error{ErrorCode::lost, lost.what(), ""};
  }
}

}  // namespace shardline::parallel
