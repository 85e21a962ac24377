#include "tests/unit/engine/kernels/kernel_fixture.h"

namespace shardline {
namespace {

constexpr DType kLayouts[] = {DType::q4_0, DType::q4_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k, DType::bf16, DType::f16, DType::f32};

// Error allowed per unit of sum |x w|: what the rounding of inputs to int8 or bf16 and of sums to float32 gives.
double tolerance(const KernelTable& table, DType layout) {
  switch (table.form(layout)) {
    case ActivationForm::q8: return 6e-3;
    case ActivationForm::bf16: return 3e-3;
    case ActivationForm::f32: return 2e-6;
  }
  return 0;
}

class GemmTest : public testing::TestWithParam<const KernelTable*> {
 protected:
  std::vector<float> run(const Packed& w, const PackedInput& in, const InputLayout& layout, int rows, shardline::Run panels,
                         shardline::Run row_range) {
    const std::size_t stride = static_cast<std::size_t>(w.matrix.panels() * kPanelRows);
    std::vector<float> out(static_cast<std::size_t>(layout.roots) * static_cast<std::size_t>(rows) * stride, -777.0f);
    GetParam()->gemm({&w.matrix, &in.a, &layout, out.data(), stride, static_cast<std::size_t>(rows) * stride}, panels, row_range);
    return out;
  }
};

TEST_P(GemmTest, EqualsThePlainProduct) {
  std::mt19937 random(1);
  for (const DType type : kLayouts)
    for (const auto& [rows, outputs, columns] : {std::tuple{1, 16, 32}, {3, 40, 96}, {5, 16, 64}, {16, 48, 160}, {29, 33, 576}, {6, 17, 512}}) {
      if (columns % dtype_info(type).block_values != 0) continue;
      const RandomMatrix m(type, outputs, columns, random);
      const auto x = random_floats(static_cast<std::size_t>(rows * columns), 1.0f, random);
      const InputLayout layout = whole_input(columns);
      const Packed w(m, type, layout);
      const PackedInput in(*GetParam(), x, rows, layout);
      const auto y = run(w, in, layout, rows, {0, w.matrix.panels()}, {0, rows});
      for (int r = 0; r < rows; ++r)
        for (int n = 0; n < outputs; ++n) {
          double sum = 0, size = 0;
          for (int k = 0; k < columns; ++k) {
            const double term =
                double(x[static_cast<std::size_t>(r * columns + k)]) * double(m.values[static_cast<std::size_t>(n * columns + k)]);
            sum += term;
            size += std::fabs(term);
          }
          ASSERT_NEAR(y[static_cast<std::size_t>(r * w.matrix.panels() * kPanelRows + n)], sum, tolerance(*GetParam(), type) * size + 1e-6)
              << dtype_info(type).name << " rows " << rows << " row " << r << " output " << n << " columns " << columns;
        }
    }
}

// Any cut of rows and panels gives the bits of the whole.
TEST_P(GemmTest, RowsAndPanelsAreIndependent) {
  std::mt19937 random(2);
  const int rows = 37, outputs = 80, columns = 256;
  for (const DType type : kLayouts) {
    const RandomMatrix m(type, outputs, columns, random);
    const auto x = random_floats(static_cast<std::size_t>(rows * columns), 1.0f, random);
    const InputLayout layout = whole_input(columns);
    const Packed w(m, type, layout);
    const PackedInput in(*GetParam(), x, rows, layout);
    const auto whole = run(w, in, layout, rows, {0, 5}, {0, rows});
    for (int r = 0; r < rows; ++r) {
      const std::vector<float> one(x.begin() + r * columns, x.begin() + (r + 1) * columns);
      const PackedInput alone(*GetParam(), one, 1, layout);
      for (int panel = 0; panel < 5; ++panel) {
        const auto y = run(w, alone, layout, 1, {panel, panel + 1}, {0, 1});
        ASSERT_EQ(0, std::memcmp(&y[static_cast<std::size_t>(panel * 16)], &whole[static_cast<std::size_t>(r * 80 + panel * 16)], 64))
            << dtype_info(type).name << " row " << r << " panel " << panel;
      }
    }
  }
}

// The sum over ranks, finished in tree order, has the bits of one rank's, for any number of ranks; heads of 16 cut quantised blocks.
TEST_P(GemmTest, LeavesAddUpToTheSameBits) {
  std::mt19937 random(3);
  for (const auto& [heads, kv_heads, head_dim] : {std::tuple{9, 3, 16}, {9, 3, 64}, {6, 2, 48}, {12, 12, 80}, {16, 4, 16}, {32, 4, 80}}) {
    const LeafPlan plan = attention_leaves(heads, kv_heads);
    const int columns = heads * head_dim, outputs = 32, rows = 5, leaves = static_cast<int>(plan.leaves.size());
    const auto x = random_floats(static_cast<std::size_t>(rows * columns), 1.0f, random);
    for (const DType type : kLayouts) {
      if (columns % dtype_info(type).block_values != 0) continue;
      const RandomMatrix m(type, outputs, columns, random);
      std::vector<float> alone;
      for (int tp = 1; tp <= leaves; ++tp) {
        const ReductionTree tree(plan.groups, tp);
        std::vector<std::vector<float>> pieces;
        for (int rank = 0; rank < tp; ++rank) {
          const InputLayout layout = leaf_input(plan, tree, rank, head_dim);
          const int first = plan.leaves[static_cast<std::size_t>(tree.rank_leaves(rank).begin)].begin * head_dim;
          std::vector<float> mine;
          for (int r = 0; r < rows; ++r)
            mine.insert(mine.end(), x.begin() + r * columns + first, x.begin() + r * columns + first + layout.columns);
          const Packed w(m, type, layout, first);
          const PackedInput in(*GetParam(), mine, rows, layout);
          const auto y = run(w, in, layout, rows, {0, 2}, {0, rows});
          for (int root = 0; root < layout.roots; ++root)
            pieces.emplace_back(y.begin() + root * rows * outputs, y.begin() + (root + 1) * rows * outputs);
        }
        std::vector<std::vector<float>> stack;
        for (std::size_t i = 0; i < pieces.size(); ++i) {
          stack.push_back(pieces[i]);
          for (int k = 0; k < tree.finish_merges()[i]; ++k) {
            for (std::size_t j = 0; j < stack.back().size(); ++j) stack[stack.size() - 2][j] += stack.back()[j];
            stack.pop_back();
          }
        }
        ASSERT_EQ(1u, stack.size());
        if (tp == 1) alone = stack[0];
        ASSERT_EQ(0, std::memcmp(alone.data(), stack[0].data(), alone.size() * 4))
            << dtype_info(type).name << " heads " << heads << " tp " << tp;
      }
    }
  }
}

TEST_P(GemmTest, GatedEqualsSiluTimesUp) {
  std::mt19937 random(4);
  const int rows = 19, ffn = 160, dim = 96;
  const RandomMatrix gate(DType::f32, ffn, dim, random), up(DType::f32, ffn, dim, random);
  const auto x = random_floats(static_cast<std::size_t>(rows * dim), 3.0f, random);
  const InputLayout layout = whole_input(dim), out_layout = whole_input(ffn);
  const Packed g(gate, DType::f32, layout), u(up, DType::f32, layout);
  const PackedInput in(*GetParam(), x, rows, layout), out(*GetParam(), {}, rows, out_layout);
  GetParam()->gated({&g.matrix, &u.matrix, &in.a, &layout, &out.a, &out_layout}, {0, out_layout.block_count()}, {0, rows});
  for (int r = 0; r < rows; ++r)
    for (int n = 0; n < ffn; ++n) {
      double a = 0, b = 0;
      for (int k = 0; k < dim; ++k) {
        a += double(x[static_cast<std::size_t>(r * dim + k)]) * double(gate.values[static_cast<std::size_t>(n * dim + k)]);
        b += double(x[static_cast<std::size_t>(r * dim + k)]) * double(up.values[static_cast<std::size_t>(n * dim + k)]);
      }
      const double want = a / (1 + std::exp(-a)) * b;
      const std::size_t block = static_cast<std::size_t>(r / 4 * out_layout.block_count() + n / 32);
      const float f32 = reinterpret_cast<const float*>(out.a.f32 + block * kF32BlockBytes)[n % 32 * 4 + r % 4];
      ASSERT_NEAR(f32, want, 1e-5 * (1 + std::fabs(want))) << r << " " << n;
      const QuantBlock& q = out.a.q8[block];
      ASSERT_NEAR(q.d[r % 4] * static_cast<float>(q.q[n % 32 / 4][r % 4][n % 4]), want, q.d[r % 4] * 0.51f + 1e-6f) << r << " " << n;
    }
}

TEST_P(GemmTest, NotANumberIsNotLost) {
  std::mt19937 random(5);
  const int columns = 256, rows = 2;
  const InputLayout layout = whole_input(columns);
  for (const float poison : {std::nanf(""), INFINITY})
    for (const DType type : kLayouts) {
      const RandomMatrix m(type, 16, columns, random);
      auto x = random_floats(static_cast<std::size_t>(rows * columns), 1.0f, random);
      x[40] = poison;
      const Packed w(m, type, layout);
      const PackedInput in(*GetParam(), x, rows, layout);
      const auto y = run(w, in, layout, rows, {0, 1}, {0, rows});
      for (int n = 0; n < 16; ++n) {
        EXPECT_FALSE(std::isfinite(y[static_cast<std::size_t>(n)])) << dtype_info(type).name;
        EXPECT_TRUE(std::isfinite(y[static_cast<std::size_t>(16 + n)])) << dtype_info(type).name;
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Tables, GemmTest, testing::ValuesIn(tables_here()), table_name);

}  // namespace
}  // namespace shardline
