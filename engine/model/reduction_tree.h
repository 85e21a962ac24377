// The canonical order of the two sums that tensor parallelism cuts: the attention output projection (over heads) and the
// FFN down projection (over columns). Leaves are fixed per model; above them stands one tree; a rank owns a run of
// leaves and sends the sums of the maximal subtrees inside its run. So the bits do not depend on the number of ranks.
#pragma once
#include <span>
#include <vector>

namespace shardline {

struct Run {
  int begin = 0, end = 0;  // [begin, end)
  int size() const { return end - begin; }
  bool operator==(const Run&) const = default;
};

// Part i of n items cut into `parts` even runs: [n*i/parts, n*(i+1)/parts).
Run even_run(int n, int parts, int i);

// A leaf is a run of query heads or of FFN columns.
struct LeafPlan {
  std::vector<Run> leaves;
  std::vector<int> groups;  // leaves per group of the tree's first level; sums to leaves.size()
};

// At most 16 leaves of whole query heads that never cross a KV group, or of whole KV groups where there are more than 16.
LeafPlan attention_leaves(int query_heads, int kv_heads);
// min(16, ceil(columns / 32)) leaves of whole 32-column blocks.
LeafPlan column_leaves(int columns);

class ReductionTree {
 public:
  // A node of n children-runs splits into ceil(n/2) and floor(n/2): first inside each group, then over the groups.
  ReductionTree(std::span<const int> groups, int ranks);

  struct Node {
    int begin, end;  // leaves [begin, end)
    int left, right; // node indices; -1 for a leaf
  };
  int leaves() const { return leaves_; }
  int ranks() const { return static_cast<int>(roots_.size()); }
  std::span<const Node> nodes() const { return nodes_; }
  int top() const { return top_; }

  Run rank_leaves(int rank) const { return even_run(leaves_, ranks(), rank); }
  // The maximal subtrees inside the rank's leaves, as node indices in ascending order of leaf. Empty where the rank owns no leaf.
  std::span<const int> roots(int rank) const { return roots_[static_cast<std::size_t>(rank)]; }

  // How a value is built from pieces laid side by side: push each in turn, and after piece i add the two uppermost values
  // merges[i] times. For the pieces of `finish_program` (all ranks' roots in order) one value is left: the total.
  std::span<const int> finish_merges() const { return finish_merges_; }
  // The same for a rank's own leaves: after leaf i (of the rank) merge merges[i] times; where done[i] the value is a finished root.
  struct LeafStep {
    int merges = 0;
    bool done = false;
  };
  std::vector<LeafStep> leaf_steps(int rank) const;

 private:
  int build(std::span<const int> groups);
  int halves(int begin, int end);
  void find_roots(int node, Run run, std::vector<int>& out) const;

  int leaves_ = 0;
  int top_ = -1;
  std::vector<Node> nodes_;
  std::vector<std::vector<int>> roots_;  // [rank]
  std::vector<int> finish_merges_;
};

}  // namespace shardline
