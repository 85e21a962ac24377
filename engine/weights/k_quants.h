// Blocks of GGUF's K types: 256 values in sub-blocks that have small integer scales (and minimums) on top of the block's own.
// Value i of sub-block s: d * scale[s] * (q[i] - offset) - dmin * minimum[s].
#pragma once
#include <cstddef>
#include <cstdint>

#include "engine/base/dtype.h"

namespace shardline {

inline constexpr int kKBlockValues = 256;

constexpr bool is_k_quant(DType type) { return type == DType::q4_k || type == DType::q5_k || type == DType::q6_k; }
// Values that share a scale: 32, or 16 in Q6_K.
constexpr int k_sub_block(DType type) { return type == DType::q6_k ? 16 : 32; }

struct KScale {
  std::int8_t scale;
  std::uint8_t minimum;
};
KScale k_scale(DType type, const std::byte* block, int sub_block);
// The bits of d and of dmin as stored, in float16; Q6_K has no dmin.
std::uint16_t k_d(DType type, const std::byte* block);
std::uint16_t k_dmin(const std::byte* block);
// Quants of values [first, first + count) of the block, unsigned. They lie within one run of 32.
void k_quants(DType type, const std::byte* block, int first, int count, std::uint8_t* out);

}  // namespace shardline
