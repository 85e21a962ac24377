// The safetensors container (https://github.com/huggingface/safetensors#format):
//   header length u64, header (JSON: name -> dtype, shape, [begin, end) in the data), data.
// Nothing in it is trusted: the tensors must cover the data exactly, without gap or overlap, each as large as its shape says.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/base/result.h"

namespace shardline {

struct SafeTensor {
  std::string name;
  std::string dtype;                // as written: "BF16"
  std::vector<std::int64_t> shape;  // slowest dimension first; empty: one value
  std::span<const std::byte> data;  // not aligned
};

struct SafetensorsFile {
  std::vector<SafeTensor> tensors;    // in the order of their data
  std::span<const std::byte> header;  // length and JSON

  // `file` outlives the result. Errors: bad_model naming the tensor.
  static Result<SafetensorsFile> parse(std::span<const std::byte> file);
};

// The files of a model.safetensors.index.json, each once, in ascending order of name. Errors: bad_model; file names that lead out of the
// folder.
Result<std::vector<std::string>> read_safetensors_index(std::string_view json);

}  // namespace shardline
