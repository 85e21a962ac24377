// The upper part of the canonical sum: what is left to add once every rank's subtree sums are side by side. Pure.
#pragma once
#include <cstddef>
#include <span>

namespace shardline::parallel {

// total[j] = the tree over pieces[..][j], for begin <= j < end, in the order that `merges` (ReductionTree::finish_merges) says:
// push each piece, and after piece i add the two uppermost values merges[i] times. merges.size() == pieces.size() >= 1.
void finish_tree(std::span<const int> merges, std::span<const float* const> pieces, std::size_t begin, std::size_t end, float* total);

// The columns of n that a rank finishes in a two-shot exchange: whole cache lines but for the last, as even as they can be.
struct Columns {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};
Columns column_slice(std::size_t n, int ranks, int rank);

}  // namespace shardline::parallel
