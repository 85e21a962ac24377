#include "tests/conformance/collective_conformance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>
#include <numeric>

namespace shardline::parallel::conformance {
namespace {

std::uint64_t mix(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

float node_value(const ReductionTree& tree, int node, Values values, std::uint64_t seed, std::size_t column) {
  const ReductionTree::Node& n = tree.nodes()[static_cast<std::size_t>(node)];
  if (n.left < 0) return leaf_value(values, seed, n.begin, column);
  return node_value(tree, n.left, values, seed, column) + node_value(tree, n.right, values, seed, column);
}

std::string difference(std::span<const float> got, std::span<const float> expected, const std::string& what) {
  for (std::size_t j = 0; j < expected.size(); ++j)
    if (std::bit_cast<std::uint32_t>(got[j]) != std::bit_cast<std::uint32_t>(expected[j]))
      return fmt::format("{}: column {} is {} ({:08x}), expected {} ({:08x})", what, j, got[j], std::bit_cast<std::uint32_t>(got[j]),
                         expected[j], std::bit_cast<std::uint32_t>(expected[j]));
  return "";
}

}  // namespace

float leaf_value(Values values, std::uint64_t seed, int leaf, std::size_t column) {
  const std::uint64_t bits = mix(mix(seed ^ (static_cast<std::uint64_t>(leaf) << 40)) + column);
  if (values == Values::integers) return static_cast<float>(static_cast<int>(bits % 20001) - 10000);
  const double unit = static_cast<double>(bits >> 11) / 9007199254740992.0 - 0.5;
  return static_cast<float>(unit * std::pow(10.0, static_cast<double>(bits % 7) - 3));
}

std::vector<float> make_roots(const ReductionTree& tree, int rank, Values values, std::uint64_t seed, std::size_t count) {
  std::vector<float> roots;
  for (const int node : tree.roots(rank))
    for (std::size_t j = 0; j < count; ++j) roots.push_back(node_value(tree, node, values, seed, j));
  return roots;
}

std::vector<float> expected_total(std::span<const int> groups, Values values, std::uint64_t seed, std::size_t count) {
  const ReductionTree alone(groups, 1);
  std::vector<float> total(count);
  for (std::size_t j = 0; j < count; ++j) {
    total[j] = 0;
    if (values == Values::floats)
      total[j] = node_value(alone, alone.top(), values, seed, j);
    else
      for (int leaf = 0; leaf < alone.leaves(); ++leaf) total[j] += leaf_value(values, seed, leaf, j);
  }
  return total;
}

std::string check_sum(Collective& collective, std::span<const int> groups, Values values, std::uint64_t seed, std::size_t count) {
  const ReductionTree tree(groups, collective.size());
  const std::vector<float> roots = make_roots(tree, collective.rank(), values, seed, count);
  std::vector<float> total(count, std::nanf(""));
  collective.sum(tree, roots, total);
  return difference(total, expected_total(groups, values, seed, count),
                    fmt::format("{} sum of {} columns over groups {} on rank {} of {}", values == Values::floats ? "float" : "integer",
                                count, groups, collective.rank(), collective.size()));
}

std::string check_gather(Collective& collective, std::span<const std::size_t> counts, std::uint64_t seed) {
  const auto part = [&](int rank) {
    std::vector<float> values(counts[static_cast<std::size_t>(rank)]);
    for (std::size_t j = 0; j < values.size(); ++j) values[j] = leaf_value(Values::floats, seed, rank, j);
    return values;
  };
  const bool root = collective.rank() == 0;
  std::vector<float> all(root ? std::accumulate(counts.begin(), counts.end(), std::size_t{0}) : 0, std::nanf(""));
  collective.gather(counts, part(collective.rank()), all);
  std::vector<float> expected;
  for (int r = 0; root && r < collective.size(); ++r) {
    const std::vector<float> values = part(r);
    expected.insert(expected.end(), values.begin(), values.end());
  }
  return difference(all, expected, fmt::format("gather of {}", counts));
}

std::string check_everything(Collective& collective, std::size_t slot) {
  const std::vector<std::vector<int>> shapes = {{3, 3, 3}, std::vector<int>(16, 1), {1}, {4, 4, 4, 4}, {5}, {1, 1}, {7, 7}};
  const std::size_t sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 577, slot / 2, slot / 2 + 1, slot - 1, slot, slot + 1, 2 * slot + 33};
  std::uint64_t seed = 1;
  for (const std::vector<int>& groups : shapes)
    for (const std::size_t count : sizes) {
      for (const Values values : {Values::integers, Values::floats})
        if (std::string wrong = check_sum(collective, groups, values, ++seed, count); !wrong.empty()) return wrong;
      std::vector<std::size_t> counts;
      for (int r = 0; r < collective.size(); ++r) counts.push_back(r == 1 ? 0 : count + static_cast<std::size_t>(r) * 3);
      if (std::string wrong = check_gather(collective, counts, ++seed); !wrong.empty()) return wrong;
    }
  return "";
}

}  // namespace shardline::parallel::conformance
