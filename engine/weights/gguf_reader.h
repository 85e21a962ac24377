// The GGUF container, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
//   "GGUF", version u32, tensors u64, keys u64, the keys with their values, the tensors' names, shapes and offsets, padding, data.
// Nothing in it is trusted: every count, length and offset is held against the bytes that are there before it is used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "engine/base/dtype.h"
#include "engine/base/result.h"
#include "engine/weights/config_reader.h"

namespace shardline {

enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

// Views into the file, checked by parse(). An array's elements lie one after another; a string is its length (u64) and its bytes.
struct GgufValue {
  GgufType type = GgufType::u8;  // of the value, or of an array's elements
  bool is_array = false;
  std::uint64_t count = 1;
  const std::byte* data = nullptr;
  std::size_t offset = 0;  // of data, in the file
  std::size_t bytes = 0;   // of data

  template <class F>  // f(std::string_view) for each, where type is string
  void each_string(F f) const {
    const std::byte* at = data;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t length;
      std::memcpy(&length, at, sizeof length);
      f(std::string_view(reinterpret_cast<const char*>(at + sizeof length), length));
      at += sizeof length + length;
    }
  }
  // Element i of any type but string.
  Scalar scalar(std::uint64_t i = 0) const;
};

struct GgufTensor {
  std::string_view name;
  DType dtype = DType::f32;
  std::int64_t rows = 1;     // product of all dimensions but the first
  std::int64_t columns = 0;  // the first dimension, along which values are contiguous
  std::size_t offset = 0;    // of its data, in the file
  std::size_t bytes = 0;
};

class GgufFile {
 public:
  // `file` outlives the result. Errors: bad_model naming the key or tensor and the offset.
  static Result<GgufFile> parse(std::span<const std::byte> file);

  int version() const { return version_; }
  std::size_t header_bytes() const { return header_bytes_; }  // all but the tensors' data
  std::span<const GgufTensor> tensors() const { return tensors_; }
  std::span<const std::byte> data(const GgufTensor& tensor) const { return file_.subspan(tensor.offset, tensor.bytes); }

  const std::map<std::string_view, GgufValue>& values() const { return values_; }
  const GgufValue* find(std::string_view key) const;
  // A look-up for ConfigReader. Errors: bad_model for an array.
  Result<Scalar> scalar(std::string_view key) const;

 private:
  friend class GgufParser;
  std::span<const std::byte> file_;
  int version_ = 0;
  std::size_t header_bytes_ = 0;
  std::map<std::string_view, GgufValue> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace shardline
