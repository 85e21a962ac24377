// From a model file's rows to the panels that the kernels read (kernels/packed.h). Lossless: quantised blocks keep their numbers.
#pragma once
#include <cstdint>
#include <span>

#include "engine/kernels/packed.h"
#include "engine/weights/model_file.h"

namespace shardline {

struct RowSource {
  const Tensor* tensor = nullptr;
  std::int64_t row = 0;
};

// Packs panels [panels.begin, panels.end) of a matrix whose row n is rows[n], columns first_column onward as `layout` cuts them, to `out` (the whole
// matrix). `type` is the rows' stored type, or f32, which unpacks. Rows beyond the last are zero.
void pack_panels(DType type, std::span<const RowSource> rows, std::int64_t first_column, const InputLayout& layout, std::byte* out, Run panels);

}  // namespace shardline
