#include "engine/weights/pack_weights.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "engine/base/aligned_buffer.h"
#include "engine/weights/dequantize.h"
#include "engine/weights/k_quants.h"

namespace shardline {
namespace {

// One block of one row: `stored` is the row's quantised block, whose values [first, first + width) are wanted. Lane r of the panel's block.
// Values beyond the width meet inputs that are zero.

void pack_q4(const std::byte* stored, int scales, int first, int width, std::byte* block, int r) {
  for (int s = 0; s < scales; ++s) std::memcpy(block + 32 * s + 2 * r, stored + 2 * s, 2);
  const auto* q = reinterpret_cast<const std::uint8_t*>(stored) + 2 * scales;  // byte i: values i and i + 16
  auto* out = reinterpret_cast<std::uint8_t*>(block) + 32 * scales;
  if (width == kBlockColumns) {
    for (int v = 0; v < 4; ++v) std::memcpy(out + 64 * v + 4 * r, q + 4 * v, 4);
    return;
  }
  for (int k = 0; k < width; ++k) {
    const int from = first + k;
    const int value = from < 16 ? q[from] & 15 : q[from - 16] >> 4;
    std::uint8_t& byte = out[64 * (k % 16 / 4) + 4 * r + k % 4];
    byte = static_cast<std::uint8_t>(k < 16 ? (byte & 0xF0) | value : (byte & 0x0F) | value << 4);
  }
}

void pack_q8(const std::byte* stored, int first, int width, std::byte* block, int r) {
  std::memcpy(block + 2 * r, stored, 2);
  const std::byte* q = stored + 2 + first;
  std::byte* out = block + 32;
  for (int k = 0; k < width; k += 4) {  // int8 q as u8 q + 128; widths are multiples of 16
    std::uint32_t four;
    std::memcpy(&four, q + k, 4);
    four ^= 0x80808080u;
    std::memcpy(out + 16 * k + 4 * r, &four, 4);
  }
}

// `first` counts within the block of 256; the run [first, first + width) lies within 32 values of it.
void pack_k(DType type, const std::byte* stored, int first, int width, std::byte* block, int r) {
  const bool six = type == DType::q6_k;
  const std::uint16_t d = k_d(type, stored);
  std::memcpy(block + 2 * r, &d, 2);
  if (six) {
    // A block that begins in the middle of 32 values has its own halves of 16.
    for (int half = 0; half < 2; ++half) {
      const int from = std::min(first + 16 * half, kKBlockValues - 1);
      block[32 + 16 * half + r] = static_cast<std::byte>(k_scale(type, stored, from / 16).scale);
    }
  } else {
    const std::uint16_t dmin = k_dmin(stored);
    const KScale s = k_scale(type, stored, first / 32);
    std::memcpy(block + 32 + 2 * r, &dmin, 2);
    block[64 + r] = static_cast<std::byte>(s.scale);
    block[80 + r] = static_cast<std::byte>(s.minimum);
  }
  std::uint8_t q[kBlockColumns] = {};
  k_quants(type, stored, first, width, q);
  auto* low = reinterpret_cast<std::uint8_t*>(block) + (six ? 64 : 96);
  auto* high = low + 256;
  for (int k = 0; k < 16; ++k) low[64 * (k / 4) + 4 * r + k % 4] = static_cast<std::uint8_t>((q[k] & 15) | (q[k + 16] & 15) << 4);
  for (int j = 0; j < 4; ++j) {  // column j of every group of four
    if (type == DType::q5_k) {
      int bits = 0;
      for (int g = 0; g < 8; ++g) bits |= (q[4 * g + j] >> 4) << g;
      high[4 * r + j] = static_cast<std::uint8_t>(bits);
    } else if (six) {
      for (int v = 0; v < 2; ++v) {
        int bits = 0;
        for (int g = 0; g < 4; ++g) bits |= (q[16 * v + 4 * g + j] >> 4) << (2 * g);
        high[64 * v + 4 * r + j] = static_cast<std::uint8_t>(bits);
      }
    }
  }
}

void pack_bf16(const std::byte* values, int width, std::byte* block, int r) {
  for (int k = 0; k < width; ++k) std::memcpy(block + (k / 2 * 16 + r) * 4 + k % 2 * 2, values + 2 * k, 2);
}

void pack_f16(const std::byte* values, int width, std::byte* block, int r) {
  for (int k = 0; k < width; ++k) std::memcpy(block + (k * 16 + r) * 2, values + 2 * k, 2);
}

void pack_f32(const float* values, int width, std::byte* block, int r) {
  for (int k = 0; k < width; ++k) std::memcpy(block + (k * 16 + r) * 4, values + k, 4);
}

// A row's values [column, column + width) unpacked to float32. Only the stored blocks that hold them are read.
void unpack(const RowSource& source, std::int64_t column, int width, float* out) {
  const Tensor& t = *source.tensor;
  const DTypeInfo info = dtype_info(t.dtype);
  const std::int64_t first = column / info.block_values * info.block_values;
  const auto skipped = static_cast<std::size_t>(column - first);
  float values[kKBlockValues + kBlockColumns];
  const std::size_t count = round_up(skipped + static_cast<std::size_t>(width), static_cast<std::size_t>(info.block_values));
  const std::byte* row = t.data + static_cast<std::size_t>(source.row) * t.row_bytes();
  dequantize_row(t.dtype, row + static_cast<std::size_t>(first / info.block_values) * info.block_bytes, std::span(values, count));
  std::copy_n(values + skipped, width, out);
}

void pack_block(DType type, const RowSource& source, std::int64_t column, int width, std::byte* block, int r) {
  const Tensor& t = *source.tensor;
  const DTypeInfo info = dtype_info(t.dtype);
  const std::byte* row = t.data + static_cast<std::size_t>(source.row) * t.row_bytes();
  const std::byte* stored = row + static_cast<std::size_t>(column / info.block_values) * info.block_bytes;
  const int first = static_cast<int>(column % info.block_values);
  switch (type) {
    case DType::q4_0: return pack_q4(stored, 1, first, width, block, r);
    case DType::q4_1: return pack_q4(stored, 2, first, width, block, r);
    case DType::q8_0: return pack_q8(stored, first, width, block, r);
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k: return pack_k(type, stored, first, width, block, r);
    case DType::bf16: return pack_bf16(stored, width, block, r);
    case DType::f16: return pack_f16(stored, width, block, r);
    case DType::f32: {
      float values[kBlockColumns];
      unpack(source, column, width, values);
      return pack_f32(values, width, block, r);
    }
  }
}

// Whole blocks of 16-bit numbers, 16 rows at once: 8 x 8 numbers (f16), or 4 x 4 pairs of them (bf16), turned in registers.
void pack_rows_16(DType type, const std::byte* const* rows, std::byte* block) {
  const auto load = [&](int row, int k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + 2 * k)); };
  const auto store = [&](std::size_t at, __m128i x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(block + at), x); };
  if (type == DType::bf16) {
    for (int k = 0; k < kBlockColumns; k += 8)
      for (int r = 0; r < kPanelRows; r += 4) {
        const __m128i a = load(r, k), b = load(r + 1, k), c = load(r + 2, k), d = load(r + 3, k);
        const __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d), ab2 = _mm_unpackhi_epi32(a, b),
                      cd2 = _mm_unpackhi_epi32(c, d);
        const auto at = static_cast<std::size_t>((k / 2 * kPanelRows + r) * 4);
        store(at, _mm_unpacklo_epi64(ab, cd));
        store(at + 64, _mm_unpackhi_epi64(ab, cd));
        store(at + 128, _mm_unpacklo_epi64(ab2, cd2));
        store(at + 192, _mm_unpackhi_epi64(ab2, cd2));
      }
    return;
  }
  for (int k = 0; k < kBlockColumns; k += 8)
    for (int r = 0; r < kPanelRows; r += 8) {
      __m128i pairs[8], fours[8];  // of rows: numbers 0-3 of (0,1), (2,3), (4,5), (6,7), then numbers 4-7
      for (int i = 0; i < 4; ++i) {
        pairs[i] = _mm_unpacklo_epi16(load(r + 2 * i, k), load(r + 2 * i + 1, k));
        pairs[4 + i] = _mm_unpackhi_epi16(load(r + 2 * i, k), load(r + 2 * i + 1, k));
      }
      for (int half = 0; half < 8; half += 4)
        for (int i = 0; i < 2; ++i) {  // numbers 2i, 2i + 1 of rows 0-3, then of rows 4-7
          fours[half + 2 * i] =
              i == 0 ? _mm_unpacklo_epi32(pairs[half], pairs[half + 1]) : _mm_unpackhi_epi32(pairs[half], pairs[half + 1]);
          fours[half + 2 * i + 1] =
              i == 0 ? _mm_unpacklo_epi32(pairs[half + 2], pairs[half + 3]) : _mm_unpackhi_epi32(pairs[half + 2], pairs[half + 3]);
        }
      for (int i = 0; i < 4; ++i) {
        const auto at = static_cast<std::size_t>(((k + 2 * i) * kPanelRows + r) * 2);
        store(at, _mm_unpacklo_epi64(fours[2 * i], fours[2 * i + 1]));
        store(at + 32, _mm_unpackhi_epi64(fours[2 * i], fours[2 * i + 1]));
      }
    }
}

// The 16 rows' values from `column` on, where a whole block of them is stored as it will be packed; else false.
bool stored_alike(DType type, std::span<const RowSource> rows, std::int64_t column, const std::byte** out) {
  if (type != DType::bf16 && type != DType::f16) return false;
  for (int r = 0; r < kPanelRows; ++r) {
    const RowSource& source = rows[static_cast<std::size_t>(r)];
    if (source.tensor->dtype != type) return false;
    out[r] = source.tensor->data + static_cast<std::size_t>(source.row) * source.tensor->row_bytes() + static_cast<std::size_t>(column) * 2;
  }
  return true;
}

}  // namespace

void pack_panels(DType type, std::span<const RowSource> rows, std::int64_t first_column, const InputLayout& layout, std::byte* out,
                 Run panels) {
  const std::size_t block_bytes = weight_block_bytes(type);
  std::byte* block = out + static_cast<std::size_t>(panels.begin) * layout.blocks.size() * block_bytes;
  for (int panel = panels.begin; panel < panels.end; ++panel) {
    const int first = panel * kPanelRows;
    const int count = std::min(kPanelRows, static_cast<int>(rows.size()) - first);
    for (const InputLayout::Block& b : layout.blocks) {
      if (count < kPanelRows || b.width < kBlockColumns) std::memset(block, 0, block_bytes);
      const std::byte* sources[kPanelRows];
      if (count == kPanelRows && b.width == kBlockColumns &&
          stored_alike(type, rows.subspan(static_cast<std::size_t>(first), kPanelRows), first_column + b.begin, sources)) {
        pack_rows_16(type, sources, block);
        block += block_bytes;
        continue;
      }
      for (int r = 0; r < count; ++r)
        pack_block(type, rows[static_cast<std::size_t>(first + r)], first_column + b.begin, b.width, block, r);
      block += block_bytes;
    }
  }
}

}  // namespace shardline
