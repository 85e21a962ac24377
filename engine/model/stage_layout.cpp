#include "engine/model/stage_layout.h"

#include <fmt/core.h>

#include <algorithm>

namespace shardline {
namespace {

HeadShard shard_heads(const ModelConfig& config, Run queries) {
  const int group = config.query_heads / config.kv_heads;
  HeadShard shard{queries, {queries.begin / group, (queries.end + group - 1) / group}, {}};
  for (int kv = shard.kv.begin; kv < shard.kv.end; ++kv)
    shard.groups.push_back({kv, {std::max(queries.begin, kv * group), std::min(queries.end, (kv + 1) * group)}});
  return shard;
}

std::vector<Run> blocks_of_groups(const HeadShard& heads, const InputLayout& outputs, int head_dim) {
  std::vector<Run> runs;
  int block = 0;
  for (const HeadShard::Group& g : heads.groups) {
    const int end_column = (g.queries.end - heads.queries.begin) * head_dim;
    const int begin = block;
    for (; block < outputs.block_count(); ++block) {
      const InputLayout::Block& b = outputs.blocks[static_cast<std::size_t>(block)];
      if (b.begin >= end_column) break;
      if (b.begin + b.width > end_column) return {};
    }
    runs.push_back({begin, block});
  }
  return runs;
}

Run covered(const LeafPlan& plan, Run leaves) {
  if (leaves.size() == 0) return {0, 0};
  return {plan.leaves[static_cast<std::size_t>(leaves.begin)].begin, plan.leaves[static_cast<std::size_t>(leaves.end - 1)].end};
}

}  // namespace

std::vector<Run> vocab_shards(int vocab, int tp_size) {
  std::vector<Run> shards;
  const int panels = (vocab + kPanelRows - 1) / kPanelRows;
  for (int r = 0; r < tp_size; ++r) {
    const Run run = even_run(panels, tp_size, r);
    shards.push_back({std::min(vocab, run.begin * kPanelRows), std::min(vocab, run.end * kPanelRows)});
  }
  return shards;
}

Result<StageLayout> StageLayout::make(const ModelConfig& config, const StageShape& shape) {
  if (config.dim % 16 != 0) return Error{ErrorCode::bad_model, fmt::format("width {} is not a multiple of 16", config.dim), "dim"};
  if (config.head_dim > kMaxHeadDim)
    return Error{ErrorCode::bad_model, fmt::format("head dimension {} is above {}", config.head_dim, kMaxHeadDim), "head_dim"};
  if (config.head_dim % 16 != 0)
    return Error{ErrorCode::bad_model, fmt::format("head dimension {} is not a multiple of 16", config.head_dim), "head_dim"};
  LeafPlan attention = shardline::attention_leaves(config.query_heads, config.kv_heads);
  LeafPlan ffn = column_leaves(config.ffn);
  const int leaves = static_cast<int>(attention.leaves.size());
  if (shape.tp_size > leaves)
    return Error{ErrorCode::usage, fmt::format("tensor parallelism {} exceeds the model's {} attention leaves", shape.tp_size, leaves),
                 "tp"};
  ReductionTree attention_tree(attention.groups, shape.tp_size), ffn_tree(ffn.groups, shape.tp_size);
  const Run queries = covered(attention, attention_tree.rank_leaves(shape.tp_rank));
  const Run columns = covered(ffn, ffn_tree.rank_leaves(shape.tp_rank));
  InputLayout head_outputs = leaf_input(attention, attention_tree, shape.tp_rank, config.head_dim);
  InputLayout ffn_input = leaf_input(ffn, ffn_tree, shape.tp_rank, 1);
  const Run vocab = shape.last ? vocab_shards(config.vocab, shape.tp_size)[static_cast<std::size_t>(shape.tp_rank)] : Run{};
  HeadShard heads = shard_heads(config, queries);
  std::vector<Run> blocks = blocks_of_groups(heads, head_outputs, config.head_dim);
  return StageLayout{
      std::move(attention),    std::move(ffn),          std::move(attention_tree), std::move(ffn_tree), std::move(heads), columns, vocab,
      whole_input(config.dim), std::move(head_outputs), std::move(blocks),         std::move(ffn_input)};
}

}  // namespace shardline
