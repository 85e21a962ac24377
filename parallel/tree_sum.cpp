#include "parallel/tree_sum.h"

#include <algorithm>

#include "engine/base/check.h"

namespace shardline::parallel {
namespace {

constexpr std::size_t kTile = 64;  // floats of the stack's values: they stay in the first-level cache, and its loops are vectors
constexpr std::size_t kLine = 16;  // floats of a cache line
constexpr int kDepth = 16;         // of the stack; a balanced tree over 16 leaves needs 5

int deepest(std::span<const int> merges) {
  int depth = 0, most = 0;
  for (const int m : merges) {
    most = std::max(most, ++depth);
    depth -= m;
  }
  CHECK(depth == 1, "{} values left of {} pieces", depth, merges.size());
  return most;
}

// One tile of n columns at `at`. The left operand is always the one pushed earlier.
template <class Columns>
void tile(std::span<const int> merges, std::span<const float* const> pieces, std::size_t at, Columns n, float* total) {
  alignas(64) float stack[kDepth][kTile];
  int top = -1;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const float* piece = pieces[i] + at;
    if (merges[i] == 0) {
      float* value = stack[++top];
      for (std::size_t j = 0; j < n; ++j) value[j] = piece[j];
      continue;
    }
    float* value = stack[top];  // the first merge adds the piece without pushing it
    for (std::size_t j = 0; j < n; ++j) value[j] += piece[j];
    for (int m = 1; m < merges[i]; ++m, --top) {
      float* left = stack[top - 1];
      for (std::size_t j = 0; j < n; ++j) left[j] += stack[top][j];
    }
  }
  std::copy_n(stack[0], static_cast<std::size_t>(n), total + at);
}

}  // namespace

void finish_tree(std::span<const int> merges, std::span<const float* const> pieces, std::size_t begin, std::size_t end, float* total) {
  CHECK(merges.size() == pieces.size() && deepest(merges) <= kDepth, "{} merges for {} pieces", merges.size(), pieces.size());
  std::size_t at = begin;
  for (; at + kTile <= end; at += kTile) tile(merges, pieces, at, std::integral_constant<std::size_t, kTile>{}, total);
  if (at < end) tile(merges, pieces, at, end - at, total);
}

Columns column_slice(std::size_t n, int ranks, int rank) {
  const std::size_t lines = (n + kLine - 1) / kLine, r = static_cast<std::size_t>(rank), of = static_cast<std::size_t>(ranks);
  return {std::min(n, lines * r / of * kLine), std::min(n, lines * (r + 1) / of * kLine)};
}

}  // namespace shardline::parallel
