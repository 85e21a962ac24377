// How much KV cache a job gets: arithmetic over what each rank needs and what each host has. Reads no weights.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/model_stage.h"
#include "parallel/topology.h"

namespace shardline::launcher {

// What every rank will need.
Result<std::vector<StageMemory>> rank_memory(const ModelFile& file, const parallel::Topology& topology, const StageOptions& options);

// The table's rows with the memory of each rank. `blocks`: of its KV pool.
std::vector<parallel::RankRow> rank_rows(const parallel::Topology& topology, const ModelConfig& config, std::span<const StageMemory> memory,
                                         int blocks);

// Bytes of packed weights that each stage's parts read in a step.
parallel::StageCosts stage_costs(const ModelFile& file);

// Bytes that this process can still take: of the machine, or of its control group where that is less.
std::uint64_t free_memory();

struct KvDemand {
  int context = 0;  // tokens of a sequence; 0: the trained context, or less where that does not fit
  int trained_context = 0;
  int sequences = 1;           // that run at once
  std::uint64_t per_rank = 0;  // bytes of KV cache, at most; 0: half of what is free
};
// A host's ranks share its memory.
struct HostMemory {
  std::uint64_t free = 0;  // bytes
  std::vector<int> ranks;
};
struct KvPlan {
  int blocks = 0;   // of the pool of every rank
  int context = 0;  // tokens of a sequence
};
// Never more than all sequences need. Errors: usage, where not even one sequence of the asked context fits, or the asked bytes do not.
Result<KvPlan> plan_kv(const KvDemand& demand, std::span<const StageMemory> ranks, std::span<const HostMemory> hosts);

}  // namespace shardline::launcher
