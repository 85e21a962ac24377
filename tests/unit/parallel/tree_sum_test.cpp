#include "parallel/tree_sum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/model/reduction_tree.h"

namespace shardline::parallel {
namespace {

TEST(TreeSum, AddsInTheOrderOfTheTree) {
  // ((a + b) + c) + d and (a + b) + (c + d) differ in every bit that matters here.
  const float a = 1e8f, b = 3.0f, c = -1e8f, d = 5.0f;
  const std::vector<const float*> pieces = {&a, &b, &c, &d};
  float total = 0;
  finish_tree(std::vector<int>{0, 1, 1, 1}, pieces, 0, 1, &total);
  EXPECT_EQ(total, ((a + b) + c) + d);
  finish_tree(std::vector<int>{0, 1, 0, 2}, pieces, 0, 1, &total);
  EXPECT_EQ(total, (a + b) + (c + d));
  finish_tree(std::vector<int>{0, 0, 0, 3}, pieces, 0, 1, &total);
  EXPECT_EQ(total, a + (b + (c + d)));
}

TEST(TreeSum, TouchesItsColumnsOnly) {
  std::mt19937 rng(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const auto& [begin, end] : {std::pair<std::size_t, std::size_t>{0, 200}, {1, 2}, {16, 80}, {33, 199}, {64, 64}}) {
    std::vector<std::vector<float>> values(5, std::vector<float>(200));
    std::vector<const float*> pieces;
    for (auto& v : values) {
      for (float& x : v) x = uniform(rng);
      pieces.push_back(v.data());
    }
    std::vector<float> total(200, 77.0f);
    finish_tree(std::vector<int>{0, 0, 1, 0, 3}, pieces, begin, end, total.data());
    for (std::size_t j = 0; j < 200; ++j) {
      const auto v = [&](std::size_t i) { return values[i][j]; };
      EXPECT_EQ(total[j], j < begin || j >= end ? 77.0f : v(0) + ((v(1) + v(2)) + (v(3) + v(4)))) << j;
    }
  }
}

TEST(TreeSum, SlicesCoverAllColumnsOnce) {
  for (const std::size_t n : {1u, 15u, 16u, 17u, 100u, 576u, 1000u})
    for (int ranks = 1; ranks <= 9; ++ranks) {
      std::size_t at = 0;
      for (int r = 0; r < ranks; ++r) {
        const Columns slice = column_slice(n, ranks, r);
        EXPECT_EQ(slice.begin, at);
        at = slice.end;
      }
      EXPECT_EQ(at, n);
    }
}

}  // namespace
}  // namespace shardline::parallel
