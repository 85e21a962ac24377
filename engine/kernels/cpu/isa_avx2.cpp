// The AVX2 table: compiled with -mavx2 -mfma -mf16c, run only where the CPU has them.
#include <immintrin.h>

#include "engine/kernels/cpu/includes-inl.h"

namespace shardline::avx2 {
namespace {

#include "engine/kernels/cpu/simd_avx2.h"

#include "engine/kernels/cpu/unroll-inl.h"

#include "engine/kernels/cpu/math-inl.h"

#include "engine/kernels/cpu/layouts-inl.h"

#include "engine/kernels/cpu/gemm-inl.h"

#include "engine/kernels/cpu/rows-inl.h"

#include "engine/kernels/cpu/attention-inl.h"

#include "engine/kernels/cpu/table-inl.h"

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // and with them F16C, on every CPU made
}

}  // namespace

const KernelTable& table() {
  static const KernelTable kTable{"avx2", supported, form, gemm, gated, pack, norm, kv_store, attention, attention_fold};
  return kTable;
}

}  // namespace shardline::avx2
