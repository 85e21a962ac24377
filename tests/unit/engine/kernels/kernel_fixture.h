// Random weights and inputs for the kernel tests, and the list of tables that this CPU runs.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/half.h"
#include "engine/kernels/kernel_table.h"
#include "engine/weights/dequantize.h"
#include "engine/weights/pack_weights.h"

namespace shardline {

namespace avx512_simde {
const KernelTable& table();
}  // namespace avx512_simde

// The tables that run here, the emulated one last; the others are named on stdout.
inline std::vector<const KernelTable*> tables_here() {
  std::vector<const KernelTable*> out;
  for (const KernelTable* t : kernel_tables()) {
    if (t->supported())
      out.push_back(t);
    else
      std::printf("[ SKIPPED  ] kernel table %s: this CPU lacks it\n", t->name);
  }
  out.push_back(&avx512_simde::table());
  return out;
}

inline std::string table_name(const testing::TestParamInfo<const KernelTable*>& info) { return info.param->name; }

// Stored rows of any type with plausible values, unpacked to float beside them.
struct RandomMatrix {
  std::vector<std::byte> stored;
  std::vector<float> values;  // (rows, columns)
  Tensor tensor;

  RandomMatrix(DType type, int rows, int columns, std::mt19937& random) {
    const DTypeInfo info = dtype_info(type);
    const std::size_t row_bytes = static_cast<std::size_t>(columns / info.block_values) * info.block_bytes;
    stored.resize(row_bytes * static_cast<std::size_t>(rows));
    std::normal_distribution<float> normal(0, 0.05f);
    for (std::size_t at = 0; at < stored.size(); at += info.block_bytes) fill_block(type, stored.data() + at, normal, random);
    values.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
    for (int r = 0; r < rows; ++r)
      dequantize_row(type, stored.data() + static_cast<std::size_t>(r) * row_bytes,
                     {values.data() + static_cast<std::size_t>(r) * static_cast<std::size_t>(columns), static_cast<std::size_t>(columns)});
    tensor = {"random", type, rows, columns, stored.data(), stored.size()};
  }
  RandomMatrix(const RandomMatrix&) = delete;

 private:
  static void fill_block(DType type, std::byte* block, std::normal_distribution<float>& normal, std::mt19937& random) {
    const DTypeInfo info = dtype_info(type);
    if (type == DType::f32) {
      const float v = normal(random);
      std::memcpy(block, &v, 4);
    } else if (type == DType::f16 || type == DType::bf16) {
      const std::uint16_t v = type == DType::f16 ? f32_to_f16(normal(random)) : f32_to_bf16(normal(random));
      std::memcpy(block, &v, 2);
    } else {
      for (std::size_t i = 0; i < info.block_bytes; ++i) block[i] = static_cast<std::byte>(random());
      const std::uint16_t d = f32_to_f16(std::fabs(normal(random)) * 0.1f), m = f32_to_f16(normal(random));
      std::memcpy(block + (type == DType::q6_k ? 208 : 0), &d, 2);
      if (type == DType::q4_1 || type == DType::q4_k || type == DType::q5_k) std::memcpy(block + 2, &m, 2);
    }
  }
};

// A matrix packed for a layout of its columns [first_column, first_column + layout.columns).
struct Packed {
  AlignedBuffer memory;
  PackedMatrix matrix;
  Packed(const RandomMatrix& m, DType type, const InputLayout& layout, int first_column = 0) {
    std::vector<RowSource> rows;
    for (int r = 0; r < m.tensor.rows; ++r) rows.push_back({&m.tensor, r});
    matrix = {type, static_cast<int>(m.tensor.rows), layout.block_count(), nullptr};
    memory = AlignedBuffer(matrix.bytes());
    pack_panels(type, rows, first_column, layout, memory.data(), {0, matrix.panels()});
    matrix.data = memory.data();
  }
};

// Inputs of every form that the table reads, packed from x (rows, columns).
struct PackedInput {
  AlignedBuffer q8, bf16, f32;
  Activations a;
  PackedInput(const KernelTable& table, const std::vector<float>& x, int rows, const InputLayout& layout) {
    const std::size_t blocks = static_cast<std::size_t>((rows + 3) / 4 * layout.block_count());
    q8 = AlignedBuffer(blocks * sizeof(QuantBlock));
    bf16 = AlignedBuffer(blocks * kBf16BlockBytes);
    f32 = AlignedBuffer(blocks * kF32BlockBytes);
    a = {q8.as<QuantBlock>(), table.form(DType::bf16) == ActivationForm::bf16 ? bf16.data() : nullptr, f32.data(), layout.block_count()};
    if (!x.empty()) table.pack({x.data(), static_cast<std::size_t>(layout.columns), &layout, &a, {0, layout.block_count()}}, {0, rows});
  }
};

inline std::vector<float> random_floats(std::size_t count, float sigma, std::mt19937& random) {
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> out(count);
  for (float& v : out) v = normal(random);
  return out;
}

}  // namespace shardline
