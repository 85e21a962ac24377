#include "parallel/mpi/mpi_executor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "parallel/mpi/rank_runtime.h"
#include "parallel/plan_pipeline.h"

namespace shardline::parallel {
namespace {

constexpr Duration kGrace = std::chrono::seconds(2);  // for a rank to leave its step after the job's end
constexpr Duration kPoll = std::chrono::milliseconds(2);

}  // namespace

struct MpiExecutor::Impl {
  Impl(const Job::Impl& job, const Topology& topology, const ExecutorOptions& options)
      : runtime(job, topology, options, {}),
        pipeline(topology, options, choose_depth(topology, options, runtime.crowded_anywhere()), runtime.channels({})) {}
  Status wait_until_ready(int world, TimePoint deadline) const;
  void shutdown();

  RankRuntime runtime;
  PlanPipeline pipeline;
  std::thread worker;
};

Status MpiExecutor::Impl::wait_until_ready(int world, TimePoint deadline) const {
  for (;;) {
    std::vector<int> waiting;
    for (int r = 0; r < world; ++r)
      if (runtime.pulse(r).state.load() != RankState::ready) waiting.push_back(r);
    if (runtime.abort().raised()) return runtime.abort().error();
    if (waiting.empty()) return {};
    if (Clock::now() >= deadline) return Error{ErrorCode::timeout, fmt::format("not ready in time: rank {}", fmt::join(waiting, ", ")), ""};
    std::this_thread::sleep_for(kPoll);
  }
}

// After a loss the worker may be inside its step or its factory for long: it is left to itself, and the process is about to end.
void MpiExecutor::Impl::shutdown() {
  if (!worker.joinable()) return;
  const Status end = runtime.abort().raised() ? Status(runtime.abort().error()) : pipeline.finish();
  if (end.ok()) {
    worker.join();
    return runtime.leave();
  }
  runtime.abort().raise(ErrorCode::lost, end.error().message);
  worker.detach();
}

Result<std::unique_ptr<MpiExecutor>> MpiExecutor::start(Job& job, const Topology& topology, const StageFactory& factory,
                                                        const ExecutorOptions& options) {
  CHECK(job.rank() == 0 && job.world() == topology.world(), "rank {} of {}", job.rank(), job.world());
  std::unique_ptr<MpiExecutor> executor(new MpiExecutor(std::make_shared<Impl>(job.impl(), topology, options)));
  Impl& impl = *executor->impl_;
  impl.worker = std::thread([shared = executor->impl_, factory] { static_cast<void>(shared->runtime.serve(factory)); });
  if (Status ready = impl.wait_until_ready(job.world(), Clock::now() + options.load_deadline); !ready.ok()) {
    impl.runtime.abort().raise(ready.error().code, ready.error().message);
    return ready.error();
  }
  return executor;
}

MpiExecutor::MpiExecutor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

// After a loss nothing is waited for: MPI may hold the pump's thread for long, and the process has to say what happened and end.
MpiExecutor::~MpiExecutor() {
  impl_->shutdown();
  if (!impl_->runtime.abort().raised()) return;
  static auto* const abandoned = new std::vector<std::shared_ptr<Impl>>;
  abandoned->push_back(std::move(impl_));
}

int MpiExecutor::depth() const { return impl_->pipeline.depth(); }
Status MpiExecutor::submit(const StepPlan& plan) { return impl_->pipeline.submit(plan); }
Result<StepResult> MpiExecutor::next(TimePoint deadline) { return impl_->pipeline.next(deadline); }
Status MpiExecutor::health() const { return impl_->runtime.abort().raised() ? Status(impl_->runtime.abort().error()) : Status(); }
void MpiExecutor::shutdown() { impl_->shutdown(); }
const ModelStage& MpiExecutor::stage() const { return *impl_->runtime.stage(); }

Status run_rank(Job& job, const Topology& topology, const StageFactory& factory, const ExecutorOptions& options) {
  CHECK(job.rank() != 0 && job.world() == topology.world(), "rank {} of {}", job.rank(), job.world());
  RankRuntime runtime(job.impl(), topology, options, kGrace);
  return runtime.serve(factory);
}

}  // namespace shardline::parallel
