#include "engine/model/reduction_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace shardline {
namespace {

constexpr std::size_t kWidth = 257;
using Row = std::vector<float>;
using testing::ElementsAre;

Row added(const Row& a, const Row& b) {
  Row sum(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i];
  return sum;
}

// Magnitudes over six decades, so that the order of a sum shows in its bits.
std::vector<Row> random_leaves(int count) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> decade(-3, 2);
  std::vector<Row> leaves(static_cast<std::size_t>(count), Row(kWidth));
  for (Row& leaf : leaves) {
    float scale = 1;
    for (int d = decade(random); d != 0; d += d < 0 ? 1 : -1) scale *= d < 0 ? 0.1f : 10.0f;
    for (float& x : leaf) x = normal(random) * scale;
  }
  return leaves;
}

// The definition: a node is the sum of its left and its right child.
Row node_sum(const ReductionTree& tree, int node, const std::vector<Row>& leaves) {
  const ReductionTree::Node& n = tree.nodes()[static_cast<std::size_t>(node)];
  if (n.left < 0) return leaves[static_cast<std::size_t>(n.begin)];
  return added(node_sum(tree, n.left, leaves), node_sum(tree, n.right, leaves));
}

void push_and_merge(std::vector<Row>& stack, Row value, int merges) {
  stack.push_back(std::move(value));
  for (; merges > 0; --merges) {
    ASSERT_GE(stack.size(), 2u);
    const Row right = std::move(stack.back());
    stack.pop_back();
    stack.back() = added(stack.back(), right);
  }
}

// What the ranks compute and send, then what the receivers make of it.
Row sum_over_ranks(const ReductionTree& tree, const std::vector<Row>& leaves) {
  std::vector<Row> pieces;
  for (int rank = 0; rank < tree.ranks(); ++rank) {
    const Run run = tree.rank_leaves(rank);
    const std::vector<ReductionTree::LeafStep> steps = tree.leaf_steps(rank);
    EXPECT_EQ(steps.size(), static_cast<std::size_t>(run.size()));
    std::vector<Row> stack;
    std::size_t root = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      push_and_merge(stack, leaves[static_cast<std::size_t>(run.begin) + i], steps[i].merges);
      if (!steps[i].done) continue;
      EXPECT_EQ(stack.back(), node_sum(tree, tree.roots(rank)[root++], leaves));
      pieces.push_back(std::move(stack.back()));
      stack.pop_back();
    }
    EXPECT_TRUE(stack.empty());
    EXPECT_EQ(root, tree.roots(rank).size());
  }
  EXPECT_EQ(pieces.size(), tree.finish_merges().size());
  std::vector<Row> stack;
  for (std::size_t i = 0; i < pieces.size(); ++i) push_and_merge(stack, pieces[i], tree.finish_merges()[i]);
  EXPECT_EQ(stack.size(), 1u);
  return stack.empty() ? Row() : stack[0];
}

// What ranks that know no tree would do: each sums its leaves, and the sums are added in rank order.
Row plain_sum(const ReductionTree& tree, const std::vector<Row>& leaves) {
  Row total(kWidth);
  for (int rank = 0; rank < tree.ranks(); ++rank) {
    Row mine(kWidth);
    for (int i = tree.rank_leaves(rank).begin; i < tree.rank_leaves(rank).end; ++i) mine = added(mine, leaves[static_cast<std::size_t>(i)]);
    total = added(total, mine);
  }
  return total;
}

// Every number of ranks gives the bits of one rank. Returns for how many of them plain sums would differ.
int check_all_ranks(const LeafPlan& plan) {
  const int count = static_cast<int>(plan.leaves.size());
  const std::vector<Row> leaves = random_leaves(count);
  const ReductionTree alone(plan.groups, 1);
  const Row whole = node_sum(alone, alone.top(), leaves);
  int plain_differs = 0;
  for (int ranks = 1; ranks <= count + 1; ++ranks) {
    const ReductionTree tree(plan.groups, ranks);
    EXPECT_EQ(tree.leaves(), count);
    EXPECT_EQ(sum_over_ranks(tree, leaves), whole) << ranks << " ranks";
    plain_differs += plain_sum(tree, leaves) != whole;
  }
  return plain_differs;
}

void expect_cover(const LeafPlan& plan, int end) {
  int at = 0, grouped = 0;
  for (const auto& leaf : plan.leaves) {
    EXPECT_EQ(leaf.begin, at);
    EXPECT_GT(leaf.size(), 0);
    at = leaf.end;
  }
  EXPECT_EQ(at, end);
  EXPECT_LE(plan.leaves.size(), 16u);
  for (const int n : plan.groups) grouped += n;
  EXPECT_EQ(grouped, static_cast<int>(plan.leaves.size()));
}

struct Heads {
  int query, kv, leaves;
};
class AttentionLeaves : public testing::TestWithParam<Heads> {};

TEST_P(AttentionLeaves, CoverHeadsAndSumAlike) {
  const auto [query, kv, leaves] = GetParam();
  const LeafPlan plan = attention_leaves(query, kv);
  EXPECT_EQ(plan.leaves.size(), static_cast<std::size_t>(leaves));
  expect_cover(plan, query);
  const int group = query / kv;
  for (const auto& leaf : plan.leaves) {
    const bool in_one_group = leaf.begin / group == (leaf.end - 1) / group;
    EXPECT_TRUE(in_one_group || (leaf.begin % group == 0 && leaf.end % group == 0)) << leaf.begin << " to " << leaf.end;
  }
  check_all_ranks(plan);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionLeaves,
                         testing::Values(Heads{9, 3, 9}, Heads{6, 2, 6}, Heads{32, 8, 16}, Heads{64, 8, 16}, Heads{14, 2, 14},
                                         Heads{28, 4, 16}, Heads{12, 12, 12}, Heads{40, 40, 16}, Heads{71, 1, 16}, Heads{128, 8, 16},
                                         Heads{5, 5, 5}, Heads{16, 16, 16}, Heads{48, 1, 16}, Heads{8, 4, 8}, Heads{1, 1, 1}),
                         [](const auto& test) { return std::to_string(test.param.query) + "_" + std::to_string(test.param.kv); });

struct Columns {
  int columns, leaves;
};
class ColumnLeaves : public testing::TestWithParam<Columns> {};

TEST_P(ColumnLeaves, CoverColumnsAndSumAlike) {
  const LeafPlan plan = column_leaves(GetParam().columns);
  EXPECT_EQ(plan.leaves.size(), static_cast<std::size_t>(GetParam().leaves));
  expect_cover(plan, GetParam().columns);
  for (const auto& leaf : plan.leaves) EXPECT_EQ(leaf.begin % 32, 0);
  check_all_ranks(plan);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ColumnLeaves,
                         testing::Values(Columns{1536, 16}, Columns{160, 5}, Columns{11008, 16}, Columns{28672, 16}, Columns{48, 2},
                                         Columns{8192, 16}, Columns{1, 1}, Columns{545, 16}),
                         [](const auto& test) { return std::to_string(test.param.columns); });

TEST(ReductionTree, OrderMatters) {
  EXPECT_GT(check_all_ranks(attention_leaves(9, 3)), 0);
  EXPECT_GT(check_all_ranks(column_leaves(1536)), 0);
}

TEST(ReductionTree, NineHeadsInThreeGroupsOnTwoRanks) {  // ((((0 1) 2) ((3 4) 5)) ((6 7) 8)), cut after leaf 3
  const ReductionTree tree(attention_leaves(9, 3).groups, 2);
  EXPECT_EQ(tree.rank_leaves(0), (shardline::Run{0, 4}));
  const auto spans = [&](int rank) {
    std::vector<std::pair<int, int>> out;
    for (const int root : tree.roots(rank))
      out.emplace_back(tree.nodes()[static_cast<std::size_t>(root)].begin, tree.nodes()[static_cast<std::size_t>(root)].end);
    return out;
  };
  EXPECT_THAT(spans(0), ElementsAre(std::pair(0, 3), std::pair(3, 4)));
  EXPECT_THAT(spans(1), ElementsAre(std::pair(4, 5), std::pair(5, 6), std::pair(6, 9)));
  EXPECT_THAT(std::vector<int>(tree.finish_merges().begin(), tree.finish_merges().end()), ElementsAre(0, 0, 1, 2, 1));
}

TEST(ReductionTree, RanksBeyondTheLeavesOwnNothing) {
  const ReductionTree tree(column_leaves(48).groups, 3);
  int owning = 0;
  for (int rank = 0; rank < 3; ++rank) owning += !tree.roots(rank).empty();
  EXPECT_EQ(owning, 2);
}

}  // namespace
}  // namespace shardline
