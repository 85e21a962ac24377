// Tensor- and pipeline-parallel ranks as threads of this process, over the same channels and collectives that processes use.
#pragma once
#include <memory>

#include "engine/executor.h"
#include "parallel/executor_options.h"
#include "parallel/topology.h"

namespace shardline::parallel {

class LocalExecutor final : public Executor {
 public:
  // Starts topology.world() threads and waits until each has its stage. Errors: the first that a factory returned; timeout; io.
  static Result<std::unique_ptr<LocalExecutor>> start(const Topology& topology, const StageFactory& factory,
                                                      const ExecutorOptions& options);
  ~LocalExecutor() override;  // ends the ranks; plans in flight are finished, their results dropped

  int depth() const override;
  Status submit(const StepPlan& plan) override;
  Result<StepResult> next(TimePoint deadline) override;
  Status health() const override;

  const ModelStage& stage(int rank) const;  // for reports: kernels(), memory()

 private:
  struct Impl;
  explicit LocalExecutor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shardline::parallel
