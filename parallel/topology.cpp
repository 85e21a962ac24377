#include "parallel/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace shardline::parallel {
namespace {

// One layer for every stage, then each further layer to the stage that costs least with it. With layers of equal cost that makes
// the largest stage as small as it can be.
std::vector<int> balance(int pp, int layers, const StageCosts& costs) {
  std::vector<int> counts(static_cast<std::size_t>(pp), 1);
  std::vector<double> load(counts.size(), costs.layer);
  load.front() += costs.embedding;
  load.back() += costs.head;
  for (int left = layers - pp; left > 0; --left) {
    const auto stage = std::min_element(load.begin(), load.end()) - load.begin();
    load[static_cast<std::size_t>(stage)] += costs.layer;
    ++counts[static_cast<std::size_t>(stage)];
  }
  return counts;
}

Error usage(std::string message, const char* option) { return {ErrorCode::usage, std::move(message), option}; }

Status check_layers(std::span<const int> counts, int pp, int layers) {
  if (static_cast<int>(counts.size()) != pp)
    return usage(fmt::format("--pp-layers names {} stages, --pp is {}", counts.size(), pp), "--pp-layers");
  if (const auto bad = std::find_if(counts.begin(), counts.end(), [&](int n) { return n < 1 || n > layers; }); bad != counts.end())
    return usage(fmt::format("--pp-layers gives stage {} {} layers, of {}", bad - counts.begin(), *bad, layers), "--pp-layers");
  const auto sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  if (sum != layers) return usage(fmt::format("--pp-layers sums to {}, the model has {} layers", sum, layers), "--pp-layers");
  return {};
}

std::string run_text(Run run) {
  if (run.size() == 0) return "-";
  return run.size() == 1 ? fmt::format("{}", run.begin) : fmt::format("{}-{}", run.begin, run.end - 1);
}

}  // namespace

Result<Topology> Topology::make(int world, int tp, int pp, int layers, std::span<const int> pp_layers, const StageCosts& costs) {
  if (tp < 1 || pp < 1) return usage(fmt::format("--tp {} --pp {}: both are at least 1", tp, pp), tp < 1 ? "--tp" : "--pp");
  if (std::int64_t{tp} * pp != world)
    return usage(fmt::format("--tp {} x --pp {} need {} ranks, there are {}", tp, pp, std::int64_t{tp} * pp, world), "--tp");
  if (pp > layers) return usage(fmt::format("--pp {}: the model has {} layers, and every stage needs one", pp, layers), "--pp");
  const std::vector<int> counts = pp_layers.empty() ? balance(pp, layers, costs) : std::vector<int>(pp_layers.begin(), pp_layers.end());
  if (Status fits = check_layers(counts, pp, layers); !fits.ok()) return fits.error();

  std::vector<Run> runs;
  for (int begin = 0; const int n : counts) {
    runs.push_back({begin, begin + n});
    begin += n;
  }
  return Topology(tp, std::move(runs));
}

StageShape Topology::shape(int rank) const {
  const int s = stage(rank);
  return {tp_rank(rank), tp_, layers(s), s == 0, s == pp() - 1};
}

std::vector<int> Topology::layer_counts() const {
  std::vector<int> counts;
  for (const Run& run : layers_) counts.push_back(run.size());
  return counts;
}

std::vector<RankRow> topology_rows(const Topology& topology, const ModelConfig& config) {
  const LeafPlan plan = attention_leaves(config.query_heads, config.kv_heads);
  const int leaves = static_cast<int>(plan.leaves.size()), group = config.query_heads / config.kv_heads;
  std::vector<RankRow> rows;
  for (int rank = 0; rank < topology.world(); ++rank) {
    const Run own = even_run(leaves, topology.tp(), topology.tp_rank(rank));
    RankRow row{rank, topology.stage(rank), topology.tp_rank(rank), topology.layers(topology.stage(rank)), {}, {}, ""};
    if (own.size() > 0) {
      row.query_heads = {plan.leaves[static_cast<std::size_t>(own.begin)].begin, plan.leaves[static_cast<std::size_t>(own.end - 1)].end};
      row.kv_heads = {row.query_heads.begin / group, (row.query_heads.end - 1) / group + 1};
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string topology_table(std::span<const RankRow> rows) {
  const bool hosts = std::any_of(rows.begin(), rows.end(), [](const RankRow& row) { return !row.host.empty(); });
  const bool bytes = std::any_of(rows.begin(), rows.end(), [](const RankRow& row) { return row.weights != 0; });
  std::size_t width = 4;
  for (const RankRow& row : rows) width = std::max(width, row.host.size());

  const auto line = [&](std::string_view rank, std::string_view host, std::string_view stage, std::string_view tp, std::string_view layers,
                        std::string_view heads, std::string_view kv_heads, std::string_view sizes) {
    std::string text = fmt::format("{:>4}  ", rank);
    if (hosts) text += fmt::format("{:<{}}  ", host, width);
    text += fmt::format("{:>5}  {:>2}  {:>7}  {:>7}  {:>8}", stage, tp, layers, heads, kv_heads);
    return text.append(bytes ? sizes : "") + "\n";
  };
  const auto mib = [](std::size_t size) { return static_cast<double>(size) / (1 << 20); };
  std::string table = line("rank", "host", "stage", "tp", "layers", "heads", "kv heads", "  weights MiB  buffers MiB    KV MiB");
  for (const RankRow& row : rows)
    table += line(std::to_string(row.rank), row.host, std::to_string(row.stage), std::to_string(row.tp_rank), run_text(row.layers),
                  run_text(row.query_heads), run_text(row.kv_heads),
                  fmt::format("  {:>11.1f}  {:>11.1f}  {:>8.1f}", mib(row.weights), mib(row.buffers), mib(row.kv)));
  return table;
}

}  // namespace shardline::parallel
