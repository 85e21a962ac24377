// Stored numbers to float32: the definition of every storage type (base/dtype.h). Plain, for checks, small tensors and packing; the
// products of the kernels read packed blocks instead.
#pragma once
#include <cstddef>
#include <span>

#include "engine/base/dtype.h"

namespace shardline {

// `row` holds out.size() values, a multiple of the type's block, and need not be aligned.
void dequantize_row(DType type, const std::byte* row, std::span<float> out);

}  // namespace shardline
