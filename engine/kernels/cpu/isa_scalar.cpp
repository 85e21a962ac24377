// Plain C++ for the baseline instruction set: the reference table.
#include "engine/kernels/cpu/includes-inl.h"

namespace shardline::scalar {
namespace {

#include "engine/kernels/cpu/simd_scalar.h"

#include "engine/kernels/cpu/unroll-inl.h"

#include "engine/kernels/cpu/math-inl.h"

#include "engine/kernels/cpu/layouts-inl.h"

#include "engine/kernels/cpu/gemm-inl.h"

#include "engine/kernels/cpu/rows-inl.h"

#include "engine/kernels/cpu/attention-inl.h"

#include "engine/kernels/cpu/table-inl.h"

bool supported() {
  return true;
}

}  // namespace

const KernelTable& table() {
  static const KernelTable kTable{"scalar", supported, form, gemm, gated, pack, norm, kv_store, attention, attention_fold};
  return kTable;
}

}  // namespace shardline::scalar
