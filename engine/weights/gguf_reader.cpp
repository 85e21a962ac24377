#include "engine/weights/gguf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <set>
#include <string>

namespace shardline {

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in the file");

namespace {

constexpr std::size_t kMaxKey = 65535, kMaxTensorName = 64;  // bytes, by the format's specification
constexpr std::uint64_t kMaxAlignment = 65536;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxKeys = 1 << 16, kMaxTensors = 1 << 20;  // far beyond any model

struct StoredType {
  std::uint32_t id;
  std::string_view name;
  std::optional<DType> dtype;  // of those that can be read
};

constexpr StoredType kStoredTypes[] = {
    {0, "F32", DType::f32},
    {1, "F16", DType::f16},
    {2, "Q4_0", DType::q4_0},
    {3, "Q4_1", DType::q4_1},
    {6, "Q5_0", {}},
    {7, "Q5_1", {}},
    {8, "Q8_0", DType::q8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", {}},
    {11, "Q3_K", {}},
    {12, "Q4_K", DType::q4_k},
    {13, "Q5_K", DType::q5_k},
    {14, "Q6_K", DType::q6_k},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", {}},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", {}},
    {24, "I8", {}},
    {25, "I16", {}},
    {26, "I32", {}},
    {27, "I64", {}},
    {28, "F64", {}},
    {29, "IQ1_M", {}},
    {30, "BF16", DType::bf16},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {39, "MXFP4", {}},
};

constexpr std::array<std::size_t, 13> kValueBytes = {1, 1, 2, 2, 4, 4, 4,
                                                     1, 0, 0, 8, 8, 8};  // by GgufType; strings and arrays have their own

std::size_t value_bytes(GgufType type) { return kValueBytes[static_cast<std::size_t>(type)]; }

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

// Walks the header once. After the first error it takes nothing more, and every loop ends.
class GgufParser {
 public:
  explicit GgufParser(std::span<const std::byte> file) : file_(file) { out_.file_ = file; }

  Result<GgufFile> parse() {
    const std::uint64_t tensors = preamble();
    keys();
    const std::size_t alignment = read_alignment();
    for (std::uint64_t i = 0; i < tensors && !error_; ++i) tensor(i, alignment);
    place_tensors(alignment);
    if (error_) return *error_;
    return std::move(out_);
  }

 private:
  template <class... Args>
  void fail(fmt::format_string<Args...> format, Args&&... args) {
    if (error_) return;
    const std::string where = name_.empty() ? std::string(part_) : fmt::format("{} '{}'", part_, name_);
    error_ = Error{ErrorCode::bad_model, fmt::format("{} at offset {}: {}", where, at_, fmt::format(format, std::forward<Args>(args)...)),
                   std::string(name_)};
  }

  std::size_t left() const { return file_.size() - at_; }

  template <class T>
  T take() {
    if (left() < sizeof(T)) fail("the file ends here");
    if (error_) return T{};
    at_ += sizeof(T);
    return load<T>(file_.data() + at_ - sizeof(T));
  }

  std::string_view take_string(std::size_t most) {
    const auto length = take<std::uint64_t>();
    if (length > most) fail("a string of {} bytes, at most {}", length, most);
    if (length > left()) fail("a string of {} bytes, {} are left", length, left());
    if (error_) return {};
    at_ += length;
    return {reinterpret_cast<const char*>(file_.data() + at_ - length), length};
  }

  std::uint64_t preamble() {  // returns the number of tensors
    if (file_.size() < 4 || std::memcmp(file_.data(), "GGUF", 4) != 0) fail("does not begin with GGUF");
    take<std::uint32_t>();
    const auto version = take<std::uint32_t>();
    if (version != 0 && (version & 0xFFFF) == 0) fail("the file is big-endian, this machine is not");
    if (version != 2 && version != 3) fail("GGUF version {}, not 2 or 3", version);
    out_.version_ = static_cast<int>(version);
    const auto tensors = take<std::uint64_t>();
    key_count_ = take<std::uint64_t>();
    // A key takes at least 14 bytes (its length, a character, its type, a value), a tensor 33.
    if (key_count_ > std::min<std::uint64_t>(left() / 14, kMaxKeys)) fail("{} keys in {} bytes", key_count_, left());
    if (tensors > std::min<std::uint64_t>(left() / 33, kMaxTensors)) fail("{} tensors in {} bytes", tensors, left());
    return tensors;
  }

  void keys() {
    for (std::uint64_t i = 0; i < key_count_ && !error_; ++i) {
      part_ = "key", name_ = {};
      const std::string_view key = take_string(kMaxKey);
      if (key.empty()) fail("key {} has no name", i);
      name_ = key;
      const GgufValue value = take_value();
      if (!error_ && !out_.values_.emplace(key, value).second) fail("is there twice");
    }
  }

  GgufType take_type() {
    const auto type = take<std::uint32_t>();
    if (type >= kValueBytes.size()) fail("value type {} is unknown", type);
    return error_ ? GgufType::u8 : static_cast<GgufType>(type);
  }

  GgufValue take_value() {
    GgufValue value;
    value.type = take_type();
    if (value.type == GgufType::array) {
      value.is_array = true;
      value.type = take_type();
      if (value.type == GgufType::array) fail("an array of arrays");
      value.count = take<std::uint64_t>();
    }
    value.data = file_.data() + at_;
    value.offset = at_;
    const std::size_t least = value.type == GgufType::string ? sizeof(std::uint64_t) : value_bytes(value.type);
    if (!error_ && value.count > left() / least) fail("{} values of at least {} bytes, {} bytes are left", value.count, least, left());
    if (error_) return value;
    if (value.type == GgufType::string) {
      for (std::uint64_t i = 0; i < value.count && !error_; ++i) take_string(file_.size());
      value.bytes = at_ - value.offset;
      return value;
    }
    if (value.type == GgufType::boolean && std::any_of(value.data, value.data + value.count, [](std::byte b) { return b > std::byte{1}; }))
      fail("a boolean that is neither 0 nor 1");
    value.bytes = value.count * least;
    at_ += value.bytes;
    return value;
  }

  std::size_t read_alignment() {
    const GgufValue* value = out_.find("general.alignment");
    if (error_ || !value) return 32;
    part_ = "key", name_ = "general.alignment";
    const auto alignment = value->type == GgufType::u32 && !value->is_array ? load<std::uint32_t>(value->data) : 0;
    if (std::has_single_bit(alignment) && alignment >= 8 && alignment <= kMaxAlignment) return alignment;
    fail("{} is not a power of two from 8 to {}", alignment, kMaxAlignment);
    return 32;
  }

  void tensor(std::uint64_t index, std::size_t alignment) {
    part_ = "tensor", name_ = {};
    GgufTensor t;
    t.name = take_string(kMaxTensorName);
    if (t.name.empty()) fail("tensor {} has no name", index);
    name_ = t.name;
    if (!error_ && !names_.insert(t.name).second) fail("is there twice");
    const auto dimensions = take<std::uint32_t>();
    if (dimensions < 1 || dimensions > kMaxDimensions) fail("{} dimensions, not 1 to {}", dimensions, kMaxDimensions);
    for (std::uint32_t i = 0; i < dimensions && !error_; ++i) {
      const auto size = take<std::uint64_t>();
      if (size == 0 || size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) fail("dimension {} is {}", i, size);
      if (i == 0)
        t.columns = static_cast<std::int64_t>(size);
      else if (__builtin_mul_overflow(t.rows, static_cast<std::int64_t>(size), &t.rows))
        fail("more rows than 64 bits count");
    }
    take_tensor_type(t);
    const auto offset = take<std::uint64_t>();
    if (offset % alignment != 0) fail("its data at {} is not aligned to {}", offset, alignment);
    t.offset = offset;  // among the data; place_tensors() makes it the file's
    if (!error_) out_.tensors_.push_back(t);
  }

  void take_tensor_type(GgufTensor& t) {
    const auto id = take<std::uint32_t>();
    if (error_) return;
    const auto* stored = std::ranges::find(kStoredTypes, id, &StoredType::id);
    if (stored == std::end(kStoredTypes)) return fail("tensor type {} is unknown", id);
    if (!stored->dtype) return fail("tensor type {} is not supported", stored->name);
    t.dtype = *stored->dtype;
    const DTypeInfo info = dtype_info(t.dtype);
    if (t.columns % info.block_values != 0) return fail("{} columns are not whole blocks of {}", t.columns, stored->name);
    const auto blocks = static_cast<std::uint64_t>(t.columns / info.block_values);
    std::uint64_t row_bytes;
    if (__builtin_mul_overflow(blocks, info.block_bytes, &row_bytes) ||
        __builtin_mul_overflow(row_bytes, static_cast<std::uint64_t>(t.rows), &t.bytes))
      fail("more bytes than 64 bits count");
  }

  // Offsets from the beginning of the file, all of them inside it, no two tensors sharing a byte.
  void place_tensors(std::size_t alignment) {
    if (error_) return;
    const std::size_t padding = (alignment - at_ % alignment) % alignment;
    out_.header_bytes_ = at_ + std::min(padding, left());
    const std::size_t data_bytes = file_.size() - out_.header_bytes_;
    std::vector<const GgufTensor*> by_offset;
    part_ = "tensor";
    for (GgufTensor& t : out_.tensors_) {
      name_ = t.name;
      if (t.offset > data_bytes || t.bytes > data_bytes - t.offset)
        return fail("{} bytes of data at {} do not fit into {}: the file is truncated", t.bytes, t.offset, data_bytes);
      t.offset += out_.header_bytes_;
      by_offset.push_back(&t);
    }
    std::ranges::sort(by_offset, {}, &GgufTensor::offset);
    for (std::size_t i = 1; i < by_offset.size(); ++i) {
      name_ = by_offset[i]->name;
      if (by_offset[i - 1]->offset + by_offset[i - 1]->bytes > by_offset[i]->offset)
        return fail("shares data with tensor '{}'", by_offset[i - 1]->name);
    }
  }

  const std::span<const std::byte> file_;
  std::size_t at_ = 0;                       // never beyond the file
  std::string_view part_ = "header", name_;  // what is being read, for errors
  std::uint64_t key_count_ = 0;
  std::set<std::string_view> names_;
  GgufFile out_;
  std::optional<Error> error_;
};

Result<GgufFile> GgufFile::parse(std::span<const std::byte> file) { return GgufParser(file).parse(); }

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

Result<Scalar> GgufFile::scalar(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return Scalar{};
  const auto bad = [&](std::string_view what) {
    return Error{ErrorCode::bad_model, fmt::format("key '{}' at offset {}: {}", key, value->offset, what), std::string(key)};
  };
  if (value->is_array) return bad("an array where one value is due");
  if (value->type == GgufType::u64 && load<std::uint64_t>(value->data) >> 63) return bad("a number beyond 63 bits");
  return value->scalar();
}

Scalar GgufValue::scalar(std::uint64_t i) const {
  const std::byte* at = data + i * value_bytes(type);
  switch (type) {
    case GgufType::u8: return std::int64_t{load<std::uint8_t>(at)};
    case GgufType::i8: return std::int64_t{load<std::int8_t>(at)};
    case GgufType::u16: return std::int64_t{load<std::uint16_t>(at)};
    case GgufType::i16: return std::int64_t{load<std::int16_t>(at)};
    case GgufType::u32: return std::int64_t{load<std::uint32_t>(at)};
    case GgufType::i32: return std::int64_t{load<std::int32_t>(at)};
    case GgufType::u64: return static_cast<std::int64_t>(load<std::uint64_t>(at));
    case GgufType::i64: return load<std::int64_t>(at);
    case GgufType::f32: return double{load<float>(at)};
    case GgufType::f64: return load<double>(at);
    case GgufType::boolean: return load<bool>(at);
    case GgufType::string: {
      Scalar text;
      GgufValue{type, false, 1, at, 0, 0}.each_string([&](std::string_view s) { text = s; });
      return text;
    }
    case GgufType::array: break;  // parse() refuses arrays of arrays
  }
  return {};
}

}  // namespace shardline
