// The ranks of an mpirun or srun job. Rank 0's process holds the controller (which calls the executor) and rank 0's worker.
//   rank 0:      auto executor = MpiExecutor::start(job, topology, factory, options);  ... executor->shutdown(); job.finish(0);
//   other ranks: Status end = run_rank(job, topology, factory, options);              job.finish(end.ok() ? 0 : 70);
#pragma once
#include <memory>
#include <string>

#include "engine/executor.h"
#include "parallel/executor_options.h"
#include "parallel/mpi/job.h"
#include "parallel/topology.h"

namespace shardline::parallel {

class MpiExecutor final : public Executor {
 public:
  // After job.agree(). Makes rank 0's stage on a thread of its own and waits until every rank is ready.
  // After an error here, or lost from next(), the process must end by job.finish(): rank 0's thread may still be at work.
  // Errors: what a factory returned, with its rank; lost; timeout, naming the ranks that are not ready.
  static Result<std::unique_ptr<MpiExecutor>> start(Job& job, const Topology& topology, const StageFactory& factory,
                                                    const ExecutorOptions& options);
  ~MpiExecutor() override;  // shutdown()

  int depth() const override;
  Status submit(const StepPlan& plan) override;
  Result<StepResult> next(TimePoint deadline) override;  // lost: "rank 2 (host a, pid 71) died: ...", within a second
  Status health() const override;

  void shutdown();                  // a goodbye plan: every rank leaves its loop. Call after the last next(); not needed after lost
  const ModelStage& stage() const;  // rank 0's, for reports

 private:
  struct Impl;
  explicit MpiExecutor(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // the worker thread's too
};

// A rank other than 0: serves plans until the controller says goodbye. Errors: lost, with the cause; what the factory returned.
// Where the controller or a peer is lost and the stage does not come back from its step, the process ends by itself with status 70.
Status run_rank(Job& job, const Topology& topology, const StageFactory& factory, const ExecutorOptions& options);

}  // namespace shardline::parallel
