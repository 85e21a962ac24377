// How weights and activations lie in memory for the CPU kernels. Facts behind it: docs/decisions/.
//
// A product y[m, n] = sum_k x[m, k] w[n, k] reads its input in blocks of 32 columns. A block that a leaf border or the end of the input
// cuts is filled up with zeros, so kernels only know whole blocks.
//
// Weights: panels of 16 rows (n), each a run of blocks:
//   q4_0  f16 d[16], u8 q[4][64]              byte (v, 4r+j): low nibble k = 4v+j, high nibble k = 16+4v+j of row r; w = d (q - 8)
//   q4_1  f16 d[16], f16 m[16], u8 q[4][64]   w = d q + m
//   q8_0  f16 d[16], u8 q[8][64]              byte (v, 4r+j): k = 4v+j of row r, stored q + 128; w = d q
//   q4_k  f16 d[16], f16 m[16], u8 s[16], u8 t[16], u8 q[4][64]                 w = d s q - m t
//   q5_k  the same, then u8 h[64]             bit g of byte 4r+j: fifth bit of k = 4g+j of row r
//   q6_k  f16 d[16], i8 s[2][16], u8 q[4][64], u8 h[2][64]                      w = d s[k / 16] (q - 32)
//                                             bits 2g, 2g+1 of byte (v, 4r+j): upper bits of k = 16v+4g+j of row r
//   bf16  u16 w[16][16][2]                    pairs of k, then row
//   f16   u16 w[32][16]
//   f32   f32 w[32][16]
//
// Activations: quads of 4 rows (m), each a run of blocks, in every form that a consumer asks for:
//   q8    QuantBlock below: int8 per 32 with one scale
//   bf16  u16 a[16][4][2]                     pairs of k, then row
//   f32   f32 a[32][4]
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/dtype.h"
#include "engine/model/reduction_tree.h"

namespace shardline {

inline constexpr int kPanelRows = 16;
inline constexpr int kBlockColumns = 32;
inline constexpr int kQuadRows = 4;
inline constexpr int kMaxHeadDim = 512;

constexpr std::size_t weight_block_bytes(DType layout) {
  switch (layout) {
    case DType::q4_0: return 32 + 256;
    case DType::q4_1: return 64 + 256;
    case DType::q8_0: return 32 + 512;
    case DType::q4_k: return 96 + 256;
    case DType::q5_k: return 96 + 256 + 64;
    case DType::q6_k: return 64 + 256 + 128;
    case DType::bf16:
    case DType::f16: return 1024;
    case DType::f32: return 2048;
  }
  return 0;
}

// Row r of a quad: x[32] ~ d[r] * q. s = d * sum(q) serves weights with a minimum, comp8 = -8 * sum(q) those with an offset
// (low and high over the halves of 16 columns).
struct QuantBlock {
  std::int8_t q[8][kQuadRows][4];  // groups of 4 columns, then row
  float d[kQuadRows];
  float s[kQuadRows];
  std::int32_t comp8[kQuadRows];
  std::int32_t low_comp8[kQuadRows], high_comp8[kQuadRows];
};
static_assert(sizeof(QuantBlock) == 208);
inline constexpr std::size_t kBf16BlockBytes = 16 * kQuadRows * 4;
inline constexpr std::size_t kF32BlockBytes = 32 * kQuadRows * 4;

// The input columns of a product as a rank holds them, and where its sums are cut (reduction_tree.h).
struct InputLayout {
  struct Block {
    int begin;  // first column, counted on the rank
    int width;  // columns, at most 32; the rest of the block is zero
  };
  struct Leaf {
    int blocks;  // summed left to right from zero
    int merges;  // then the two uppermost sums are added this often
    bool done;   // and the uppermost one is a finished root
  };
  std::vector<Block> blocks;
  std::vector<Leaf> leaves;
  int columns = 0;
  int roots = 0;

  int block_count() const { return static_cast<int>(blocks.size()); }
};

// One leaf over all columns: products that tensor parallelism does not cut.
InputLayout whole_input(int columns);
// The rank's run of leaves. Columns are `unit` times the leaf's items (head_dim for heads, 1 for columns); blocks keep to multiples of 32
// of the whole matrix, so that a quantised block is never requantised.
InputLayout leaf_input(const LeafPlan& plan, const ReductionTree& tree, int rank, int unit);

struct PackedMatrix {
  DType layout = DType::f32;
  int rows = 0;    // outputs, padded to whole panels in memory
  int blocks = 0;  // per panel
  const std::byte* data = nullptr;

  int panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  std::size_t panel_bytes() const { return static_cast<std::size_t>(blocks) * weight_block_bytes(layout); }
  std::size_t bytes() const { return static_cast<std::size_t>(panels()) * panel_bytes(); }
};

// The forms that activations are kept in; null where no consumer wants one.
struct Activations {
  QuantBlock* q8 = nullptr;
  std::byte* bf16 = nullptr;
  std::byte* f32 = nullptr;
  int blocks = 0;  // per row; quad i of a form begins at i * blocks blocks

  Activations from_row(int row) const;  // a multiple of 4
};

enum class ActivationForm { q8, bf16, f32 };

}  // namespace shardline
