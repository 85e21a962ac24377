// Port: the scheduler's view of "the machine". Implemented in parallel/ and by fakes in tests.
#pragma once
#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/step.h"

namespace shardline {

class Executor {
 public:
  virtual ~Executor() = default;

  // How many plans may be in flight at once: the pipeline's stages, or 1 where stages share cores.
  virtual int depth() const = 0;

  // Starts a plan. At most depth() may be in flight. Errors: lost.
  virtual Status submit(const StepPlan& plan) = 0;

  // Waits for the result of the oldest plan in flight. Errors: timeout (the plan stays in flight), lost (names the rank and the cause; final).
  virtual Result<StepResult> next(TimePoint deadline) = 0;

  // Whether every rank still lives, at once: to be asked now and then while no plan is in flight. Errors: lost, as next().
  virtual Status health() const { return {}; }
};

}  // namespace shardline
