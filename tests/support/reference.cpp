#include "tests/support/reference.h"

#include <cstring>
#include <stdexcept>

#include "engine/weights/dequantize.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/safetensors_reader.h"

namespace shardline::test {
namespace {

template <class Stored>
std::vector<TokenId> ids(const SafeTensor& t) {
  std::vector<Stored> stored(t.data.size() / sizeof(Stored));
  std::memcpy(stored.data(), t.data.data(), t.data.size());
  std::vector<TokenId> out;
  for (const Stored id : stored) out.push_back(static_cast<TokenId>(id));
  return out;
}

std::vector<float> floats(const SafeTensor& t) {
  const DType type = t.dtype == "F16" ? DType::f16 : t.dtype == "BF16" ? DType::bf16 : DType::f32;
  std::vector<float> out(t.data.size() / dtype_info(type).block_bytes);
  dequantize_row(type, t.data.data(), out);
  return out;
}

}  // namespace

Reference read_reference(const std::string& path) {
  const auto map = MappedFile::open(path);
  if (!map) throw std::runtime_error(path + ": " + map.error().message);
  const auto file = SafetensorsFile::parse(map->bytes());
  if (!file) throw std::runtime_error(path + ": " + file.error().message);
  Reference out;
  const auto read = [&](const char* name, auto& field, auto convert) {
    for (const SafeTensor& t : file->tensors) {
      if (t.name == name) field = convert(t);
    }
  };
  const auto to_ids = [](const SafeTensor& t) { return t.dtype == "I32" ? ids<std::int32_t>(t) : ids<std::int64_t>(t); };
  read("input_ids", out.input_ids, to_ids);
  read("greedy_ids", out.greedy_ids, to_ids);
  read("logits", out.logits, floats);
  read("entropy", out.entropy, floats);
  read("first_token_mass", out.first_token_mass, floats);
  read("hidden_norm", out.hidden_norm, floats);
  return out;
}

}  // namespace shardline::test
