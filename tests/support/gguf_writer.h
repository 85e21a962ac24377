// Writes GGUF files, true ones and lies: every count, length, type and offset can be given instead of computed.
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/dtype.h"

namespace shardline::test {

// A number's bytes as they lie in a file; a string's, with its length.
template <class T>
std::string le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
std::string counted(std::string_view text);

struct GgufWriter {
  struct Key {
    std::string name;
    std::string value;  // its type (u32) and its bytes
  };
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dimensions;  // the contiguous one first
    std::uint32_t type = 0;                 // GGUF's number
    std::string data;
    std::optional<std::uint64_t> offset = {};  // instead of where the data is
    std::optional<std::uint32_t> dimension_count = {};
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::optional<std::uint64_t> tensor_count = {}, key_count = {};
  std::uint64_t alignment = 32;  // of the data; general.alignment is a key like any other
  std::vector<Key> keys;
  std::vector<Tensor> tensors;

  void set(const std::string& key, std::uint32_t value);
  void set(const std::string& key, int value) { set(key, static_cast<std::uint32_t>(value)); }
  void set(const std::string& key, float value);
  void set(const std::string& key, bool value);
  void set(const std::string& key, const char* value);
  void set(const std::string& key, const std::vector<std::string>& values);
  void set(const std::string& key, const std::vector<std::int32_t>& values);
  void set_raw(const std::string& key, std::string value);  // type and bytes
  void erase(const std::string& key);
  void erase_tensor(const std::string& name);

  Key& key(const std::string& name);                                                     // must be there
  Tensor& tensor(const std::string& name);                                               // must be there
  void add(const std::string& name, DType type, std::vector<std::uint64_t> dimensions);  // of arbitrary numbers

  std::string bytes() const;
};

// Two layers of a Llama with every storage type and a tokenizer of eight tokens.
GgufWriter small_llama();
// Three layers of a Llama in the K types, without a tokenizer; leaves of the FFN cut their blocks of 256.
GgufWriter k_quant_llama();

}  // namespace shardline::test
