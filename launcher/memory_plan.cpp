#include "launcher/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "launcher/report.h"

namespace shardline::launcher {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// The first number after `key` in a file of the kernel's.
std::uint64_t number_after(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string word; file >> word;)
    if (word == key) {
      std::uint64_t value = 0;
      return file >> value ? value : kUnlimited;
    }
  return kUnlimited;
}

std::uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? value : kUnlimited;  // "max" where there is no limit
}

// What the process's control group (version 2) and those above it still allow.
std::uint64_t group_memory() {
  std::ifstream file("/proc/self/cgroup");
  std::string line, path;
  while (std::getline(file, line))
    if (line.starts_with("0::")) path = line.substr(3);
  std::uint64_t least = kUnlimited;
  for (;;) {
    const std::string folder = "/sys/fs/cgroup" + path;
    const std::uint64_t limit = number_in(folder + "/memory.max"), used = number_in(folder + "/memory.current");
    // File pages count as used until somebody needs the memory.
    const std::uint64_t cached = number_after((folder + "/memory.stat").c_str(), "inactive_file");
    if (limit != kUnlimited && used != kUnlimited) {
      const std::uint64_t held = used - (cached == kUnlimited ? 0 : std::min(used, cached));
      least = std::min(least, limit - std::min(limit, held));
    }
    if (path.empty() || path == "/") return least;
    path.erase(path.rfind('/'));
  }
}

}  // namespace

std::uint64_t free_memory() {
  const std::uint64_t kib = number_after("/proc/meminfo", "MemAvailable:");
  return std::min(kib == kUnlimited ? std::uint64_t{1} << 30 : kib * 1024, group_memory());
}

Result<std::vector<StageMemory>> rank_memory(const ModelFile& file, const parallel::Topology& topology, const StageOptions& options) {
  std::vector<StageMemory> ranks;
  for (int rank = 0; rank < topology.world(); ++rank) {
    Result<StageMemory> memory = stage_memory(file, topology.shape(rank), options);
    if (!memory) return memory.error();
    ranks.push_back(*memory);
  }
  return ranks;
}

parallel::StageCosts stage_costs(const ModelFile& file) {
  using enum TensorRole;
  parallel::StageCosts costs;
  costs.layer = 0;
  for (int layer = 0; layer < file.config().layers; ++layer)
    for (const TensorRole role : {attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down})
      if (const Tensor* t = file.find(role, layer)) costs.layer += static_cast<double>(t->bytes) / file.config().layers;
  const Tensor* embedding = file.find(token_embedding);
  const Tensor* head = file.config().tied_embeddings ? embedding : file.find(output);
  constexpr double kRows = 64;  // of the embedding that a step reads
  if (embedding) costs.embedding = kRows * static_cast<double>(embedding->row_bytes());
  if (head) costs.head = static_cast<double>(head->bytes);
  return costs;
}

std::vector<parallel::RankRow> rank_rows(const parallel::Topology& topology, const ModelConfig& config, std::span<const StageMemory> memory,
                                         int blocks) {
  std::vector<parallel::RankRow> rows = parallel::topology_rows(topology, config);
  for (std::size_t rank = 0; rank < rows.size(); ++rank) {
    rows[rank].weights = memory[rank].weights;
    rows[rank].buffers = memory[rank].scratch;
    rows[rank].kv = memory[rank].kv_block * static_cast<std::size_t>(blocks);
  }
  return rows;
}

Result<KvPlan> plan_kv(const KvDemand& demand, std::span<const StageMemory> ranks, std::span<const HostMemory> hosts) {
  const auto blocks_of = [](std::int64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; };
  const int context = demand.context ? demand.context : demand.trained_context;
  const std::int64_t wanted = blocks_of(context) * demand.sequences;
  std::uint64_t fit = static_cast<std::uint64_t>(std::min<std::int64_t>(wanted, std::numeric_limits<BlockId>::max() / 2));
  if (demand.per_rank)
    for (const StageMemory& rank : ranks) fit = std::min(fit, demand.per_rank / std::max<std::uint64_t>(1, rank.kv_block));
  for (const HostMemory& host : hosts) {
    std::uint64_t fixed = 0, block = 0;
    for (const int rank : host.ranks) {
      const StageMemory& memory = ranks[static_cast<std::size_t>(rank)];
      fixed += memory.weights + memory.scratch;
      block += memory.kv_block;
    }
    const std::uint64_t left = host.free - std::min(host.free, fixed), most = left / std::max<std::uint64_t>(1, block);
    if (!demand.per_rank) {
      fit = std::min(fit, most / 2);
    } else if (fit > most) {
      return Error{ErrorCode::usage,
                   fmt::format("a KV cache of {} does not fit: beside weights and buffers rank {}'s host has {}; see --kv-cache-memory",
                               size_text(fit * block), host.ranks.front(), size_text(left)),
                   "--kv-cache-memory"};
    }
  }
  const auto blocks = static_cast<std::int64_t>(fit);
  if (blocks < 1 || (demand.context && blocks < blocks_of(demand.context)))
    return Error{ErrorCode::usage,
                 fmt::format("a sequence of {} tokens needs {} KV blocks, memory is there for {}; see --max-model-len, --kv-cache-memory",
                             context, blocks_of(context), blocks),
                 "--max-model-len"};
  return KvPlan{static_cast<int>(blocks), static_cast<int>(std::min<std::int64_t>(context, blocks * kBlockTokens))};
}

}  // namespace shardline::launcher
