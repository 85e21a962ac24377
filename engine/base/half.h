// The two 16-bit floating-point formats of model files, to and from float32: IEEE binary16 (1 sign, 5 exponent, 10 mantissa bits) and
// bfloat16 (1, 8, 7: the upper half of a float32). Widening is exact, narrowing rounds to nearest even, and a NaN stays one.
#pragma once
#include <bit>
#include <cstdint>

namespace shardline {

constexpr float bf16_to_f32(std::uint16_t h) { return std::bit_cast<float>(std::uint32_t{h} << 16); }

constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000)
    return static_cast<std::uint16_t>(bits >> 16 | 0x40);  // quiet: the payload may be all in the lower half
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

constexpr float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16;
  const std::uint32_t magnitude = h & 0x7FFFu;
  if (magnitude >= 0x7C00) return std::bit_cast<float>(sign | 0x7F800000 | (magnitude & 0x3FF) << 13);
  if (magnitude >= 0x0400) return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));  // exponent bias 15 to 127
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(magnitude) * 0x1p-24f));
}

constexpr std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  std::uint32_t half;
  if (magnitude > 0x7F800000) {
    half = 0x7E00 | (magnitude >> 13 & 0x3FF);
  } else if (magnitude >= 0x47800000) {  // 65536 and more; what lies between 65520 and it carries into infinity below
    half = 0x7C00;
  } else if (magnitude >= 0x38800000) {  // 2^-14: the smallest normal half
    half = (magnitude - (112u << 23) + 0xFFF + (magnitude >> 13 & 1)) >> 13;
  } else {  // added to 0.5, whose last mantissa bit is worth 2^-24, the unit of subnormal halves
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace shardline
