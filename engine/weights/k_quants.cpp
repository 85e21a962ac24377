#include "engine/weights/k_quants.h"

#include <cstring>

namespace shardline {
namespace {

// Q4_K: f16 d, f16 dmin, 12 bytes of scales and minimums, 128 of nibbles. Q5_K: the same with 32 bytes of fifth bits before the nibbles.
// Q6_K: 128 bytes of nibbles, 64 of upper pairs of bits, 16 int8 scales, f16 d.
constexpr int kScales = 4, kQ5High = 16, kQ4Nibbles = 16, kQ5Nibbles = 48, kQ6High = 128, kQ6Scales = 192, kQ6D = 208;

std::uint8_t byte_at(const std::byte* block, int i) { return static_cast<std::uint8_t>(block[i]); }

std::uint16_t u16_at(const std::byte* block, int i) {
  std::uint16_t value;
  std::memcpy(&value, block + i, sizeof value);
  return value;
}

}  // namespace

std::uint16_t k_d(DType type, const std::byte* block) { return u16_at(block, type == DType::q6_k ? kQ6D : 0); }

std::uint16_t k_dmin(const std::byte* block) { return u16_at(block, 2); }

KScale k_scale(DType type, const std::byte* block, int s) {
  if (type == DType::q6_k) return {static_cast<std::int8_t>(byte_at(block, kQ6Scales + s)), 0};
  // Six bits each: the first four pairs lie in the lower bits of bytes 0-7, the others in bytes 8-11 and the upper bits of 0-7.
  const auto at = [&](int i) { return byte_at(block, kScales + i); };
  if (s < 4) return {static_cast<std::int8_t>(at(s) & 63), static_cast<std::uint8_t>(at(s + 4) & 63)};
  return {static_cast<std::int8_t>((at(s + 4) & 15) | (at(s - 4) >> 6 << 4)), static_cast<std::uint8_t>((at(s + 4) >> 4) | (at(s) >> 6 << 4))};
}

void k_quants(DType type, const std::byte* block, int first, int count, std::uint8_t* out) {
  const int run = first / 32, begin = first % 32;
  for (int k = 0; k < count; ++k) {
    const int i = begin + k;
    int low, high = 0;
    if (type == DType::q6_k) {  // half of the block, then one of its four runs: nibbles 0-31, 32-63 low, then high
      const int half = run / 4, quarter = run % 4;
      low = byte_at(block, half * 64 + quarter % 2 * 32 + i) >> (quarter / 2 * 4) & 15;
      high = byte_at(block, kQ6High + half * 32 + i) >> (2 * quarter) & 3;
    } else {  // two runs share 32 bytes of nibbles
      const int nibbles = type == DType::q4_k ? kQ4Nibbles : kQ5Nibbles;
      low = byte_at(block, nibbles + run / 2 * 32 + i) >> (run % 2 * 4) & 15;
      if (type == DType::q5_k) high = byte_at(block, kQ5High + i) >> run & 1;
    }
    out[k] = static_cast<std::uint8_t>(low | high << 4);
  }
}

}  // namespace shardline
