// What every Collective must do, with inputs of which every rank knows the answer. Run on each rank of a group, in the same order.
// Each function returns an empty string, or the first difference.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/collective.h"

namespace shardline::parallel::conformance {

enum class Values {
  integers,  // small whole numbers: every partial sum is exact, so any order of adding gives the answer, and nothing else does
  floats,    // of very different sizes: only the canonical tree gives the answer's bits
};

// The value that leaf `leaf` contributes to column `column`.
float leaf_value(Values values, std::uint64_t seed, int leaf, std::size_t column);
// This rank's roots (tree.roots(rank).size(), count) and the whole tree's total (count), by recursion over the tree's nodes.
std::vector<float> make_roots(const ReductionTree& tree, int rank, Values values, std::uint64_t seed, std::size_t count);
std::vector<float> expected_total(std::span<const int> groups, Values values, std::uint64_t seed, std::size_t count);

std::string check_sum(Collective& collective, std::span<const int> groups, Values values, std::uint64_t seed, std::size_t count);
// counts[r] floats from rank r.
std::string check_gather(Collective& collective, std::span<const std::size_t> counts, std::uint64_t seed);

// All of it: shapes of trees (also with fewer leaves than ranks), sizes from 1 to above `slot` floats, sums and gathers in turn.
std::string check_everything(Collective& collective, std::size_t slot);

}  // namespace shardline::parallel::conformance
