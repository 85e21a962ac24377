#include "parallel/local_executor.h"

#include <fmt/core.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/thread_name.h"
#include "parallel/cores.h"
#include "parallel/job_memory.h"
#include "parallel/plan_pipeline.h"
#include "parallel/rank_worker.h"

namespace shardline::parallel {

struct LocalExecutor::Impl {
  Impl(const Topology& t, const ExecutorOptions& o, Region region)
      : topology(t),
        options(o),
        memory(std::move(region), t.tp(), t.pp()),
        shares_cores(crowded(t.world(), o.stage.threads, own_cores())),
        stages(static_cast<std::size_t>(t.world())) {}
  ~Impl();

  ChannelMaker channels(Duration spin) {
    return [this, how = Waiting{&memory.abort(), spin, false}](const Link& link, const std::string& peer) {
      return memory.channel(link, how, peer);
    };
  }
  void run(int rank, const StageFactory& factory);
  void wait_until_ready();

  Topology topology;
  ExecutorOptions options;
  JobMemory memory;
  bool shares_cores;
  std::vector<std::unique_ptr<ModelStage>> stages;  // [rank]
  std::unique_ptr<PlanPipeline> pipeline;
  std::vector<std::thread> threads;

  std::mutex mutex;
  std::condition_variable changed;
  int loaded = 0;  // ranks whose factory has returned
};

void LocalExecutor::Impl::run(int rank, const StageFactory& factory) {
  name_thread(fmt::format("rank {}", rank));
  // With one plan in flight stages take turns: only the ranks of one sum at a time.
  const bool stage_shares = crowded(topology.tp(), options.stage.threads, own_cores());
  const Waiting how{&memory.abort(), choose_spin(stage_shares), false};
  const RankLinks links = link_rank(topology, rank, memory.collective(topology, rank, how, options), channels(choose_spin(shares_cores)));
  Result<std::unique_ptr<ModelStage>> stage = factory(topology.shape(rank), *links.tp);
  if (!stage.ok()) memory.abort().raise(stage.error().code, fmt::format("rank {}: {}", rank, stage.error().message));
  {
    const std::scoped_lock lock(mutex);
    if (stage.ok()) stages[static_cast<std::size_t>(rank)] = std::move(*stage);
    ++loaded;
  }
  changed.notify_one();
  if (!stage.ok()) return;
  const Status end = serve_plans(*stages[static_cast<std::size_t>(rank)], links, options);
  if (!end.ok()) memory.abort().raise(ErrorCode::lost, fmt::format("rank {}: {}", rank, end.error().message));
}

void LocalExecutor::Impl::wait_until_ready() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return loaded == topology.world(); });
}

LocalExecutor::Impl::~Impl() {
  const Status end = pipeline->finish();
  if (!end.ok()) memory.abort().raise(ErrorCode::lost, end.error().message);
  for (std::thread& thread : threads) thread.join();
}

Result<std::unique_ptr<LocalExecutor>> LocalExecutor::start(const Topology& topology, const StageFactory& factory,
                                                            const ExecutorOptions& options) {
  Result<Region> region = Region::anonymous(JobMemory::bytes(topology.tp(), topology.pp()));
  if (!region.ok()) return region.error();
  auto impl = std::make_unique<Impl>(topology, options, std::move(*region));
  Impl& job = *impl;
  job.pipeline = std::make_unique<PlanPipeline>(topology, options, choose_depth(topology, options, job.shares_cores), job.channels({}));
  for (int rank = 0; rank < topology.world(); ++rank) job.threads.emplace_back([&job, &factory, rank] { job.run(rank, factory); });
  job.wait_until_ready();
  if (job.memory.abort().raised()) return job.memory.abort().error();
  return std::unique_ptr<LocalExecutor>(new LocalExecutor(std::move(impl)));
}

LocalExecutor::LocalExecutor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalExecutor::~LocalExecutor() = default;

int LocalExecutor::depth() const { return impl_->pipeline->depth(); }
Status LocalExecutor::submit(const StepPlan& plan) { return impl_->pipeline->submit(plan); }
Result<StepResult> LocalExecutor::next(TimePoint deadline) { return impl_->pipeline->next(deadline); }
Status LocalExecutor::health() const { return impl_->memory.abort().raised() ? Status(impl_->memory.abort().error()) : Status(); }

const ModelStage& LocalExecutor::stage(int rank) const {
  CHECK(rank >= 0 && rank < impl_->topology.world(), "rank {} of {}", rank, impl_->topology.world());
  return *impl_->stages[static_cast<std::size_t>(rank)];
}

}  // namespace shardline::parallel
