#include "launcher/agreement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "engine/kernels/kernel_table.h"
#include "engine/model/reduction_tree.h"
#include "launcher/build_info.h"
#include "parallel/cores.h"
#include "parallel/mpi/star.h"

namespace shardline::launcher {
namespace {

constexpr Duration kDeadline = std::chrono::seconds(30);

std::uint64_t leaf_plan_hash(const ModelConfig& config) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const LeafPlan& plan : {attention_leaves(config.query_heads, config.kv_heads), column_leaves(config.ffn)})
    for (const Run& leaf : plan.leaves)
      for (const int value : {leaf.begin, leaf.end}) hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x100000001b3;
  return hash;
}

// What a rank says of its host. Plain bytes: all ranks run the same build.
struct Host {
  std::uint64_t free = 0;  // bytes
  cpu_set_t cores{};       // that the rank may use
};

// Threads of each rank, the same on all: what the fullest host can give without sharing cores.
int share_cores(const std::map<int, std::vector<int>>& ranks_of, const std::vector<Host>& hosts) {
  int threads = CPU_SETSIZE;
  for (const auto& [leader, ranks] : ranks_of) {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (const int rank : ranks) {
      const cpu_set_t& own = hosts[static_cast<std::size_t>(rank)].cores;
      CPU_OR(&all, &all, &own);
      threads = std::min(threads, CPU_COUNT(&own));
    }
    threads = std::min(threads, CPU_COUNT(&all) / static_cast<int>(ranks.size()));
  }
  return std::max(1, threads);
}

// `leaders` [rank]: equal ones share a host.
Result<Shares> decide(int threads, const KvDemand& demand, std::span<const StageMemory> ranks, const std::vector<int>& leaders,
                      const std::vector<Host>& hosts) {
  std::map<int, std::vector<int>> ranks_of;
  for (std::size_t rank = 0; rank < leaders.size(); ++rank) ranks_of[leaders[rank]].push_back(static_cast<int>(rank));
  std::vector<HostMemory> memory;
  for (const auto& [leader, members] : ranks_of) {
    HostMemory host{hosts[static_cast<std::size_t>(leader)].free, members};
    for (const int rank : members) host.free = std::min(host.free, hosts[static_cast<std::size_t>(rank)].free);
    memory.push_back(std::move(host));
  }
  Result<KvPlan> kv = plan_kv(demand, ranks, memory);
  if (!kv) return kv.error();
  return Shares{threads ? threads : share_cores(ranks_of, hosts), *kv};
}

template <class T>
std::vector<std::byte> to_bytes(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

template <class T>
bool from_bytes(std::span<const std::byte> bytes, T& value) {
  if (bytes.size() != sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  return true;
}

}  // namespace

Result<std::vector<std::string>> allowed_kernels(const std::string& asked) {
  std::vector<std::string> able;
  for (const KernelTable* table : kernel_tables())
    if (table->supported()) able.emplace_back(table->name);
  if (asked.empty() || asked == "auto") return able;
  if (std::find(able.begin(), able.end(), asked) != able.end()) return std::vector<std::string>{asked};
  return Error{ErrorCode::usage, fmt::format("no kernels {} on this CPU; it runs {}", asked, fmt::join(able, ", ")), "--kernels"};
}

parallel::Hello make_hello(const ModelOptions& options, const ModelFile* file, std::vector<std::string> kernels, std::string failure) {
  const BuildInfo build = build_info();
  parallel::Hello hello;
  hello.tp = options.tp;
  hello.pp = options.pp;
  hello.pp_layers = options.pp_layers;
  hello.build = fmt::format("{} ({}, {}, {})", build.version, build.commit, build.type, build.compiler);
  hello.kernels = std::move(kernels);
  if (file) {
    hello.leaf_plan = leaf_plan_hash(file->config());
    hello.model = file->fingerprint();
  }
  hello.options =
      fmt::format("--compute {} --max-model-len {} --max-num-seqs {} --max-num-batched-tokens {} --kv-cache-memory {} --threads {}",
                  options.compute == Compute::f32 ? "f32" : "fast", options.max_model_len, options.max_num_seqs,
                  options.max_num_batched_tokens, options.kv_cache_memory, options.threads);
  hello.failure = std::move(failure);
  return hello;
}

Result<Shares> decide_alone(int threads, const KvDemand& demand, std::span<const StageMemory> ranks) {
  const Host host{free_memory(), parallel::own_cores()};
  return decide(threads, demand, ranks, std::vector<int>(ranks.size(), 0), std::vector<Host>(ranks.size(), host));
}

Result<Shares> decide_together(int threads, const KvDemand& demand, std::span<const StageMemory> ranks, const parallel::Job& job) {
  const parallel::Star star(job.rank(), job.world());
  const Error silent{ErrorCode::timeout, "a rank did not tell what its host has", ""};
  std::vector<std::vector<std::byte>> messages;
  if (!star.gather(to_bytes(Host{free_memory(), parallel::own_cores()}), messages, Clock::now() + kDeadline).empty()) return silent;

  Shares shares;
  Status refused;
  if (job.rank() == 0) {
    std::vector<Host> hosts(messages.size());
    for (std::size_t rank = 0; rank < hosts.size(); ++rank)
      if (!from_bytes(messages[rank], hosts[rank])) return silent;
    std::vector<int> leaders;
    for (const parallel::RankPlace& place : job.places()) leaders.push_back(place.leader);
    Result<Shares> decided = decide(threads, demand, ranks, leaders, hosts);
    if (decided)
      shares = *decided;
    else
      refused = decided.error();
  }
  std::vector<std::byte> message = to_bytes(shares);
  if (!star.broadcast(message, Clock::now() + kDeadline) || !from_bytes(message, shares)) return silent;
  if (!refused) return refused.error();
  if (shares.kv.blocks == 0) return Error{ErrorCode::usage, "rank 0 found too little memory", ""};
  return shares;
}

}  // namespace shardline::launcher
