// The AVX-512 table: needs F, BW, DQ, VL, VNNI and BF16 (Zen 4 and later, Sapphire Rapids and later).
#include <immintrin.h>

#include "engine/kernels/cpu/includes-inl.h"

namespace shardline::avx512 {
namespace {

#include "engine/kernels/cpu/simd_avx512.h"

#include "engine/kernels/cpu/unroll-inl.h"

#include "engine/kernels/cpu/math-inl.h"

#include "engine/kernels/cpu/layouts-inl.h"

#include "engine/kernels/cpu/gemm-inl.h"

#include "engine/kernels/cpu/rows-inl.h"

#include "engine/kernels/cpu/attention-inl.h"

#include "engine/kernels/cpu/table-inl.h"

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

}  // namespace

const KernelTable& table() {
  static const KernelTable kTable{"avx512", supported, form, gemm, gated, pack, norm, kv_store, attention, attention_fold};
  return kTable;
}

}  // namespace shardline::avx512
