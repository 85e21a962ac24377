// What one rank computes: its layers' share of heads and columns, its KV pages, and on the last stage the output head and the sampler.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "engine/base/result.h"
#include "engine/collective.h"
#include "engine/model/model_config.h"
#include "engine/model/reduction_tree.h"
#include "engine/step.h"
#include "engine/weights/model_file.h"

namespace shardline {

// Where a rank stands. Made by parallel's topology.
struct StageShape {
  int tp_rank = 0, tp_size = 1;
  Run layers;          // of the model's
  bool first = true;   // holds the embedding
  bool last = true;    // holds the output norm and head, and samples (on tp_rank 0)
};

enum class Compute {
  fast,  // products as the kernel table does them best: int8 or bf16 inputs, bf16 KV
  f32,   // everything in float32, weights unpacked: the path that is compared with reference outputs
};

struct StageOptions {
  int threads = 1;
  int max_rows = 512;       // rows of the largest plan
  int kv_blocks = 0;        // blocks of the pool, the same on every rank
  Compute compute = Compute::fast;
  std::string kernels;      // "scalar", "avx2", "avx512"; empty: the best this CPU has
};

struct StageMemory {
  std::size_t weights = 0;    // packed bytes
  std::size_t kv_block = 0;   // bytes of one block on this rank, all its layers
  std::size_t scratch = 0;    // activations and buffers for max_rows
};

// What a rank of that shape will need. Reads no weights. Errors: usage where tp_size exceeds the number of attention leaves.
Result<StageMemory> stage_memory(const ModelFile& file, const StageShape& shape, const StageOptions& options);

class ModelStage {
 public:
  // Packs the rank's share of the weights. `tp` outlives the stage. `progress` hears the share done, 0 to 1, now and then.
  static Result<std::unique_ptr<ModelStage>> load(const ModelFile& file, const StageShape& shape, const StageOptions& options, Collective& tp,
                                                  const std::function<void(double)>& progress);
  virtual ~ModelStage() = default;

  // Runs a plan that satisfies check_plan(). hidden (rows, dim) is the input of all stages but the first and the output of all but the
  // last. On the last stage's tp_rank 0 `result` is filled.
  virtual void forward(const StepPlan& plan, std::span<float> hidden, StepResult& result) = 0;

  virtual const ModelConfig& config() const = 0;
  virtual std::string kernels() const = 0;   // name of the table that runs
  virtual StageMemory memory() const = 0;
};

// Whether a plan respects a stage's limits: what a rank asks of every plan that arrives from outside its process.
Status check_plan(const StepPlan& plan, const ModelConfig& config, const StageOptions& options);

}  // namespace shardline
