#include "engine/model/reduction_tree.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "engine/base/check.h"

namespace shardline {
namespace {

constexpr int kMaxLeaves = 16;
constexpr int kLeafColumns = 32;

}  // namespace

Run even_run(int n, int parts, int i) {
  const auto border = [&](int part) { return static_cast<int>(std::int64_t{n} * part / parts); };
  return {border(i), border(i + 1)};
}

LeafPlan attention_leaves(int query_heads, int kv_heads) {
  CHECK(kv_heads > 0 && query_heads > 0 && query_heads % kv_heads == 0, "{} query heads, {} KV heads", query_heads, kv_heads);
  const int group = query_heads / kv_heads;
  LeafPlan plan;
  if (kv_heads > kMaxLeaves) {
    for (int i = 0; i < kMaxLeaves; ++i) {
      const Run heads = even_run(kv_heads, kMaxLeaves, i);
      plan.leaves.push_back({heads.begin * group, heads.end * group});
    }
    plan.groups.assign(kMaxLeaves, 1);
    return plan;
  }
  const int per_group = std::min(group, kMaxLeaves / kv_heads);
  for (int g = 0; g < kv_heads; ++g) {
    for (int i = 0; i < per_group; ++i) {
      const Run heads = even_run(group, per_group, i);
      plan.leaves.push_back({g * group + heads.begin, g * group + heads.end});
    }
  }
  plan.groups.assign(static_cast<std::size_t>(kv_heads), per_group);
  return plan;
}

LeafPlan column_leaves(int columns) {
  CHECK(columns > 0, "{} columns", columns);
  const int blocks = (columns - 1) / kLeafColumns + 1;
  const int count = std::min(kMaxLeaves, blocks);
  LeafPlan plan;
  for (int i = 0; i < count; ++i) {
    const Run run = even_run(blocks, count, i);
    plan.leaves.push_back({run.begin * kLeafColumns, i + 1 < count ? run.end * kLeafColumns : columns});
  }
  plan.groups.assign(static_cast<std::size_t>(count), 1);
  return plan;
}

ReductionTree::ReductionTree(std::span<const int> groups, int ranks) {
  CHECK(!groups.empty() && std::ranges::min(groups) > 0 && ranks > 0, "{} groups, {} ranks", groups.size(), ranks);
  top_ = build(groups);
  roots_.resize(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<int>& roots = roots_[static_cast<std::size_t>(rank)];
    find_roots(top_, rank_leaves(rank), roots);
    for (const int root : roots) {  // the sums that this piece, as their last, completes
      const Node& piece = nodes_[static_cast<std::size_t>(root)];
      const auto completes = [&](const Node& n) { return n.end == piece.end && n.begin < piece.begin; };
      finish_merges_.push_back(static_cast<int>(std::ranges::count_if(nodes_, completes)));
    }
  }
}

// The tree over the next groups; their leaves follow those already built.
int ReductionTree::build(std::span<const int> groups) {
  if (groups.size() == 1) {
    const int begin = leaves_;
    leaves_ += groups[0];
    return halves(begin, leaves_);
  }
  const std::size_t half = (groups.size() + 1) / 2;
  const int left = build(groups.first(half));
  const int right = build(groups.subspan(half));
  nodes_.push_back({nodes_[static_cast<std::size_t>(left)].begin, leaves_, left, right});
  return static_cast<int>(nodes_.size()) - 1;
}

int ReductionTree::halves(int begin, int end) {
  Node node{begin, end, -1, -1};
  if (end - begin > 1) {
    const int middle = begin + (end - begin + 1) / 2;
    node.left = halves(begin, middle);
    node.right = halves(middle, end);
  }
  nodes_.push_back(node);
  return static_cast<int>(nodes_.size()) - 1;
}

void ReductionTree::find_roots(int node, Run run, std::vector<int>& out) const {
  const Node& n = nodes_[static_cast<std::size_t>(node)];
  if (n.end <= run.begin || n.begin >= run.end) return;
  if (run.begin <= n.begin && n.end <= run.end) {
    out.push_back(node);
    return;
  }
  find_roots(n.left, run, out);
  find_roots(n.right, run, out);
}

std::vector<ReductionTree::LeafStep> ReductionTree::leaf_steps(int rank) const {
  const Run run = rank_leaves(rank);
  std::vector<LeafStep> steps(static_cast<std::size_t>(run.size()));
  for (const Node& n : nodes_) {  // every sum inside the run is merged after its last leaf
    if (n.begin >= run.begin && n.end <= run.end && n.left >= 0) ++steps[static_cast<std::size_t>(n.end - 1 - run.begin)].merges;
  }
  for (const int root : roots(rank))
    steps[static_cast<std::size_t>(nodes_[static_cast<std::size_t>(root)].end - 1 - run.begin)].done = true;
  return steps;
}

}  // namespace shardline
