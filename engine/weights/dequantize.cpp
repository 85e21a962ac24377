#include "engine/weights/dequantize.h"

#include <cstdint>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/half.h"
#include "engine/weights/k_quants.h"

namespace shardline {
namespace {

std::uint16_t load_u16(const std::byte* from) {
  std::uint16_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void block_q4_0(const std::byte* block, float* out) {
  const float d = f16_to_f32(load_u16(block));
  const auto* q = reinterpret_cast<const std::uint8_t*>(block + 2);  // byte i: values i and i + 16
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((q[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((q[i] >> 4) - 8);
  }
}

void block_q4_1(const std::byte* block, float* out) {
  const float d = f16_to_f32(load_u16(block)), m = f16_to_f32(load_u16(block + 2));
  const auto* q = reinterpret_cast<const std::uint8_t*>(block + 4);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(q[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(q[i] >> 4) + m;
  }
}

void block_q8_0(const std::byte* block, float* out) {
  const float d = f16_to_f32(load_u16(block));
  const auto* q = reinterpret_cast<const std::int8_t*>(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(q[i]);
}

void block_k(DType type, const std::byte* block, float* out) {
  const float d = f16_to_f32(k_d(type, block)), dmin = type == DType::q6_k ? 0.0f : f16_to_f32(k_dmin(block));
  const int width = k_sub_block(type), offset = type == DType::q6_k ? 32 : 0;
  std::uint8_t q[32];
  for (int i = 0; i < kKBlockValues; i += width) {
    const KScale s = k_scale(type, block, i / width);
    const float scale = d * static_cast<float>(s.scale), minimum = dmin * static_cast<float>(s.minimum);
    k_quants(type, block, i, width, q);
    for (int k = 0; k < width; ++k) {
      const float value = scale * static_cast<float>(q[k] - offset);
      out[i + k] = type == DType::q6_k ? value : value - minimum;
    }
  }
}

template <class Block>
void blocks(DType type, const std::byte* row, std::span<float> out, Block block) {
  const DTypeInfo info = dtype_info(type);
  const auto values = static_cast<std::size_t>(info.block_values);
  CHECK(out.size() % values == 0, "{} values of {}", out.size(), info.name);
  for (std::size_t i = 0; i < out.size(); i += values, row += info.block_bytes) block(row, out.data() + i);
}

}  // namespace

void dequantize_row(DType type, const std::byte* row, std::span<float> out) {
  switch (type) {
    case DType::f32: std::memcpy(out.data(), row, out.size_bytes()); return;
    case DType::f16: return blocks(type, row, out, [](const std::byte* from, float* to) { *to = f16_to_f32(load_u16(from)); });
    case DType::bf16: return blocks(type, row, out, [](const std::byte* from, float* to) { *to = bf16_to_f32(load_u16(from)); });
    case DType::q4_0: return blocks(type, row, out, block_q4_0);
    case DType::q4_1: return blocks(type, row, out, block_q4_1);
    case DType::q8_0: return blocks(type, row, out, block_q8_0);
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k: return blocks(type, row, out, [&](const std::byte* from, float* to) { block_k(type, from, to); });
  }
}

}  // namespace shardline
