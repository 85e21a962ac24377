#include "engine/weights/safetensors_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

namespace shardline {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxTensors = 1 << 20, kMaxDimensions = 8, kMaxFiles = 4096;

Error bad(std::string_view name, std::string message) {
  const std::string where = name.empty() ? "header" : fmt::format("tensor '{}'", name);
  return {ErrorCode::bad_model, fmt::format("{}: {}", where, message), std::string(name)};
}

std::optional<std::uint64_t> dtype_bytes(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return {};
}

// A list of whole numbers from 0 to what an int64 holds.
std::optional<std::vector<std::int64_t>> whole_numbers(const json::value* value) {
  const json::array* array = value ? value->if_array() : nullptr;
  if (!array || array->size() > kMaxDimensions) return {};
  std::vector<std::int64_t> out;
  for (const json::value& v : *array) {
    const std::int64_t* n = v.if_int64();
    if (!n || *n < 0) return {};
    out.push_back(*n);
  }
  return out;
}

Result<SafeTensor> read_tensor(std::string_view name, const json::value& value, std::span<const std::byte> data) {
  const json::object* entry = value.if_object();
  if (!entry) return bad(name, "not an object");
  const json::value* dtype = entry->if_contains("dtype");
  if (!dtype || !dtype->is_string()) return bad(name, "no dtype");
  SafeTensor tensor{std::string(name), std::string(dtype->get_string()), {}, {}};
  const auto value_bytes = dtype_bytes(tensor.dtype);
  if (!value_bytes) return bad(name, fmt::format("dtype {} is not supported", tensor.dtype));
  auto shape = whole_numbers(entry->if_contains("shape"));
  if (!shape) return bad(name, fmt::format("shape is not a list of up to {} whole numbers", kMaxDimensions));
  const auto offsets = whole_numbers(entry->if_contains("data_offsets"));
  if (!offsets || offsets->size() != 2) return bad(name, "data_offsets are not two whole numbers");
  tensor.shape = std::move(*shape);

  std::uint64_t bytes = *value_bytes;
  for (const std::int64_t size : tensor.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return bad(name, "more bytes than 64 bits count");
  }
  const auto begin = static_cast<std::uint64_t>((*offsets)[0]), end = static_cast<std::uint64_t>((*offsets)[1]);
  if (begin > end || end > data.size())
    return bad(name, fmt::format("data [{}, {}) does not fit into {} bytes: the file is truncated", begin, end, data.size()));
  if (end - begin != bytes) return bad(name, fmt::format("{} bytes of data for a shape of {}", end - begin, bytes));
  tensor.data = data.subspan(begin, bytes);
  return tensor;
}

Status check_cover(const std::vector<SafeTensor>& tensors, std::span<const std::byte> data) {
  const std::byte* at = data.data();
  for (const SafeTensor& t : tensors) {
    if (t.data.data() != at)
      return bad(t.name,
                 fmt::format("its data begins at {}, not where the one before ends, {}", t.data.data() - data.data(), at - data.data()));
    at += t.data.size();
  }
  const std::ptrdiff_t left = data.data() + data.size() - at;
  if (left != 0) return bad("", fmt::format("{} bytes at the end belong to no tensor", left));
  return {};
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length) return bad("", fmt::format("a file of {} bytes", file.size()));
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeader) return bad("", fmt::format("{} bytes long, at most {}", length, kMaxHeader));
  if (length > file.size() - sizeof length) return bad("", fmt::format("{} bytes long in a file of {}", length, file.size()));
  SafetensorsFile out;
  out.header = file.first(sizeof length + length);
  const auto data = file.subspan(out.header.size());

  json::error_code error;
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof length, length);
  const json::value root = json::parse(text, error);
  if (error) return bad("", fmt::format("not JSON: {}", error.message()));
  if (!root.is_object() || text[0] != '{') return bad("", "not a JSON object");
  if (root.get_object().size() > kMaxTensors) return bad("", fmt::format("{} tensors, at most {}", root.get_object().size(), kMaxTensors));
  for (const auto& [name, value] : root.get_object()) {
    if (name == "__metadata__") continue;
    Result<SafeTensor> tensor = read_tensor(name, value, data);
    if (!tensor) return tensor.error();
    out.tensors.push_back(std::move(*tensor));
  }
  std::ranges::sort(out.tensors, {}, [](const SafeTensor& t) { return std::pair(t.data.data(), t.data.size()); });
  if (const Status status = check_cover(out.tensors, data); !status) return status.error();
  return out;
}

Result<std::vector<std::string>> read_safetensors_index(std::string_view text) {
  const auto bad_index = [](std::string message) { return Error{ErrorCode::bad_model, "index: " + std::move(message), "weight_map"}; };
  json::error_code error;
  const json::value root = json::parse(text, error);
  if (error) return bad_index(fmt::format("not JSON: {}", error.message()));
  const json::value* map = root.is_object() ? root.get_object().if_contains("weight_map") : nullptr;
  if (!map || !map->is_object()) return bad_index("no weight_map");
  std::set<std::string> files;
  for (const auto& [name, value] : map->get_object()) {
    const std::string file = value.is_string() ? std::string(value.get_string()) : "";
    if (!file.ends_with(".safetensors") || file.starts_with('.') || file.find('/') != std::string::npos ||
        file.find('\0') != std::string::npos)
      return bad_index(fmt::format("tensor '{}' is in '{}', which is no file of this folder", std::string_view(name), file));
    files.insert(file);
  }
  if (files.empty() || files.size() > kMaxFiles) return bad_index(fmt::format("{} files, not 1 to {}", files.size(), kMaxFiles));
  return std::vector(files.begin(), files.end());
}

}  // namespace shardline
