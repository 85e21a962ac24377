// Storage types of tensors in model files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shardline {

// The quantised types are GGUF's (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  q4_0,  // 32 values: f16 d, 16 bytes of nibbles; d * (q - 8)
  q4_1,  // 32 values: f16 d, f16 m, 16 bytes of nibbles; d * q + m
  q8_0,  // 32 values: f16 d, 32 int8; d * q
  q4_k,  // 256 values: see weights/k_quants.h
  q5_k,
  q6_k,
};

struct DTypeInfo {
  std::string_view name;
  int block_values;         // values of one block along a row
  std::size_t block_bytes;  // bytes of one block
};

constexpr DTypeInfo dtype_info(DType t) {
  switch (t) {
    case DType::f32: return {"F32", 1, 4};
    case DType::f16: return {"F16", 1, 2};
    case DType::bf16: return {"BF16", 1, 2};
    case DType::q4_0: return {"Q4_0", 32, 18};
    case DType::q4_1: return {"Q4_1", 32, 20};
    case DType::q8_0: return {"Q8_0", 32, 34};
    case DType::q4_k: return {"Q4_K", 256, 144};
    case DType::q5_k: return {"Q5_K", 256, 176};
    case DType::q6_k: return {"Q6_K", 256, 210};
  }
  return {"?", 1, 0};
}

}  // namespace shardline
