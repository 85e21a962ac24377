// Which rank computes what: world rank <-> (stage, tp rank), and the layers of each stage. Pure.
//   rank = stage * tp + tp_rank: the ranks of a tensor-parallel group are neighbours, so that mpirun puts them on one host.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/model_stage.h"

namespace shardline::parallel {

// What a stage pays for the parts of a model, in any common unit (for instance bytes of weights read per step).
struct StageCosts {
  double layer = 1;
  double embedding = 0;  // on the first stage
  double head = 0;       // on the last stage
};

class Topology {
 public:
  // `pp_layers` gives the layers of each stage; where it is empty the largest stage cost is made as small as it can be.
  // Errors: usage, where tp * pp is not world, a stage would hold no layer, or pp_layers does not fit pp or layers.
  static Result<Topology> make(int world, int tp, int pp, int layers, std::span<const int> pp_layers = {}, const StageCosts& costs = {});

  int world() const { return tp_ * pp(); }
  int tp() const { return tp_; }
  int pp() const { return static_cast<int>(layers_.size()); }
  int stage(int rank) const { return rank / tp_; }
  int tp_rank(int rank) const { return rank % tp_; }
  int rank(int stage, int tp_rank) const { return stage * tp_ + tp_rank; }
  int result_rank() const { return rank(pp() - 1, 0); }  // samples, and answers the controller
  Run layers(int stage) const { return layers_[static_cast<std::size_t>(stage)]; }
  StageShape shape(int rank) const;
  std::vector<int> layer_counts() const;  // as pp_layers takes them

 private:
  Topology(int tp, std::vector<Run> layers) : tp_(tp), layers_(std::move(layers)) {}
  int tp_;
  std::vector<Run> layers_;  // [stage]
};

// One line of the table that people read.
struct RankRow {
  int rank = 0, stage = 0, tp_rank = 0;
  Run layers, query_heads, kv_heads;
  // The caller's to fill.
  std::string host;
  std::size_t weights = 0, buffers = 0, kv = 0;  // bytes
};
std::vector<RankRow> topology_rows(const Topology& topology, const ModelConfig& config);
// Columns rank, host, stage, tp, layers, heads, kv heads, and MiB of weights, buffers, KV; host and MiB only where some row has them.
// Ends with a newline.
std::string topology_table(std::span<const RankRow> rows);

}  // namespace shardline::parallel
