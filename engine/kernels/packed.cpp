#include "engine/kernels/packed.h"

#include <algorithm>

namespace shardline {
namespace {

// Blocks over the whole matrix's columns [begin, end), shifted so that column `origin` becomes 0.
int append_blocks(std::vector<InputLayout::Block>& blocks, int begin, int end, int origin) {
  int count = 0;
  for (int at = begin; at < end; ++count) {
    const int next = std::min(end, (at / kBlockColumns + 1) * kBlockColumns);
    blocks.push_back({at - origin, next - at});
    at = next;
  }
  return count;
}

}  // namespace

InputLayout whole_input(int columns) {
  InputLayout layout;
  layout.columns = columns;
  layout.roots = 1;
  const int blocks = append_blocks(layout.blocks, 0, columns, 0);
  layout.leaves.push_back({blocks, 0, true});
  return layout;
}

InputLayout leaf_input(const LeafPlan& plan, const ReductionTree& tree, int rank, int unit) {
  InputLayout layout;
  const Run mine = tree.rank_leaves(rank);
  layout.roots = static_cast<int>(tree.roots(rank).size());
  if (mine.size() == 0) return layout;
  const int origin = plan.leaves[static_cast<std::size_t>(mine.begin)].begin * unit;
  const auto steps = tree.leaf_steps(rank);
  for (int i = mine.begin; i < mine.end; ++i) {
    const Run leaf = plan.leaves[static_cast<std::size_t>(i)];
    const int blocks = append_blocks(layout.blocks, leaf.begin * unit, leaf.end * unit, origin);
    const auto& step = steps[static_cast<std::size_t>(i - mine.begin)];
    layout.leaves.push_back({blocks, step.merges, step.done});
    layout.columns += leaf.size() * unit;
  }
  return layout;
}

Activations Activations::from_row(int row) const {
  CHECK(row % kQuadRows == 0, "row {}", row);
  const std::size_t skipped = static_cast<std::size_t>(row / kQuadRows) * static_cast<std::size_t>(blocks);
  Activations rest = *this;
  if (q8) rest.q8 += skipped;
  if (bf16) rest.bf16 += skipped * kBf16BlockBytes;
  if (f32) rest.f32 += skipped * kF32BlockBytes;
  return rest;
}

}  // namespace shardline
