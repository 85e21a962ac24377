// What every executor of this folder is told.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "engine/base/clock.h"
#include "engine/base/result.h"
#include "engine/model/model_stage.h"

namespace shardline::parallel {

// Makes the rank's stage; called once per rank, on the thread that will run it (ranks of one process call it at once).
// `tp` outlives the stage.
using StageFactory = std::function<Result<std::unique_ptr<ModelStage>>(const StageShape& shape, Collective& tp)>;

// How partial sums are exchanged. Both give the same bits.
enum class Exchange {
  automatic,  // by size and number of ranks
  one_shot,   // everyone reads all roots and finishes the tree
  two_shot,   // everyone finishes a slice, then all gather the slices
};

struct ExecutorOptions {
  StageOptions stage;       // plans are checked against its limits; its threads tell whether cores are shared
  std::uint64_t epoch = 1;  // plans of another epoch are refused
  int depth = 0;            // plans in flight; 0: the stages where every thread has a core of its own, else 1
  Exchange exchange = Exchange::automatic;
  Duration load_deadline = std::chrono::minutes(15);  // for every rank's stage to be ready
  Duration patience = std::chrono::seconds(60);       // longest wait for a peer inside a step, beyond liveness checks
};

}  // namespace shardline::parallel
