#include "engine/weights/safetensors_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace shardline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string container(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  out += header;
  for (std::size_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

// From a buffer that ends where the file does. The views do not outlive it: only their sizes may be used.
Result<SafetensorsFile> parse(std::string_view bytes) {
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  const std::vector<std::byte> exact(begin, begin + bytes.size());
  return SafetensorsFile::parse(exact);
}

constexpr const char* kSound =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[3],"data_offsets":[16,22]},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"empty":{"dtype":"I64","shape":[0,4],"data_offsets":[16,16]},"scalar":{"dtype":"BF16","shape":[],"data_offsets":[22,24]}}  )";

TEST(Safetensors, TensorsInTheOrderOfTheirData) {
  const std::string bytes = container(kSound, 24);
  const auto file = SafetensorsFile::parse(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file->tensors.size(), 4u);
  const SafeTensor &a = file->tensors[0], &empty = file->tensors[1], &b = file->tensors[2], &scalar = file->tensors[3];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, "F32");
  EXPECT_THAT(a.shape, ElementsAre(2, 2));
  EXPECT_EQ(a.data.size(), 16u);
  EXPECT_EQ(a.data[5], std::byte{5});
  EXPECT_EQ(empty.data.size(), 0u);
  EXPECT_EQ(b.data[0], std::byte{16});
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(file->header.size(), 8 + std::strlen(kSound));
}

struct Lie {
  const char* name;
  std::string header;
  std::size_t data_bytes;
  const char* answer;
};

std::string tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return std::string(R"({"a":{"dtype":")")
      .append(dtype)
      .append(R"(","shape":)")
      .append(shape)
      .append(R"(,"data_offsets":)")
      .append(offsets)
      .append("}}");
}

const Lie kLies[] = {
    {"not_json", "{\"a\":", 0, "header: not JSON"},
    {"trailing", "{} x", 0, "header: not JSON"},
    {"array", "[]", 0, "header: not a JSON object"},
    {"space_first", " {}", 0, "header: not a JSON object"},
    {"deep", std::string(5000, '['), 0, "header: not JSON"},
    {"invalid_utf8", "{\"\xFF\":1}", 0, "header: not JSON"},
    {"data_of_no_tensor", "{}", 1, "1 bytes at the end belong to no tensor"},
    {"entry_is_number", R"({"a":1})", 0, "tensor 'a': not an object"},
    {"no_dtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "tensor 'a': no dtype"},
    {"dtype_number", R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4, "no dtype"},
    {"dtype_unknown", tensor("F4", "[1]", "[0,4]"), 4, "tensor 'a': dtype F4 is not supported"},
    {"no_shape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "shape is not a list"},
    {"shape_negative", tensor("F32", "[-1]", "[0,4]"), 4, "shape is not a list"},
    {"shape_fraction", tensor("F32", "[1.5]", "[0,4]"), 4, "shape is not a list"},
    {"shape_text", tensor("F32", "\"1\"", "[0,4]"), 4, "shape is not a list"},
    {"shape_of_nine", tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "shape is not a list of up to 8"},
    {"shape_beyond_64_bits", tensor("F32", "[18446744073709551616]", "[0,4]"), 4, "shape is not a list"},
    {"product_overflows", tensor("F32", "[4294967296,4294967296]", "[0,4]"), 4, "more bytes than 64 bits count"},
    {"bytes_overflow", tensor("F32", "[4611686018427387905]", "[0,4]"), 4, "more bytes than 64 bits count"},
    {"million_cubed", tensor("F32", "[1000000,1000000,1000000]", "[0,4]"), 4, "4 bytes of data for a shape of 4000000000000000000"},
    {"no_offsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, "data_offsets are not two"},
    {"one_offset", tensor("F32", "[1]", "[0]"), 4, "data_offsets are not two"},
    {"three_offsets", tensor("F32", "[1]", "[0,4,4]"), 4, "data_offsets are not two"},
    {"offset_negative", tensor("F32", "[1]", "[-4,0]"), 4, "data_offsets are not two"},
    {"offsets_backward", tensor("F32", "[1]", "[4,0]"), 4, "data [4, 0) does not fit"},
    {"offset_beyond", tensor("F32", "[1]", "[4,8]"), 4, "data [4, 8) does not fit into 4 bytes"},
    {"offset_far_beyond", tensor("F32", "[1]", "[9223372036854775803,9223372036854775807]"), 4, "does not fit into 4 bytes"},
    {"too_little_data", tensor("F32", "[2]", "[0,4]"), 4, "4 bytes of data for a shape of 8"},
    {"too_much_data", tensor("F32", "[1]", "[0,8]"), 8, "8 bytes of data for a shape of 4"},
    {"gap_before", tensor("F32", "[1]", "[4,8]"), 8, "its data begins at 4, not where the one before ends, 0"},
    {"gap_between", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})", 5,
     "tensor 'b': its data begins at 3"},
    {"gap_after", tensor("F32", "[1]", "[0,4]"), 6, "2 bytes at the end belong to no tensor"},
    {"overlap", R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}})", 5,
     "tensor 'b': its data begins at 2, not where the one before ends, 3"},
    {"same_data_twice", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2,
     "its data begins at 0"},
    {"name_twice", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2,
     "tensor 'a'"},
};

class SafetensorsLies : public testing::TestWithParam<Lie> {};

TEST_P(SafetensorsLies, AreRefusedByName) {
  const auto file = parse(container(GetParam().header, GetParam().data_bytes));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::bad_model);
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().answer));
}

INSTANTIATE_TEST_SUITE_P(Table, SafetensorsLies, testing::ValuesIn(kLies), [](const auto& test) { return std::string(test.param.name); });

TEST(SafetensorsLies, LengthOfTheHeader) {
  const auto with_length = [](std::uint64_t length) {
    std::string bytes = container("{}", 0);
    std::memcpy(bytes.data(), &length, sizeof length);
    return parse(bytes).error().message;
  };
  EXPECT_THAT(with_length(3), HasSubstr("header: 3 bytes long in a file of 10"));
  EXPECT_THAT(with_length(100'000'001), HasSubstr("header: 100000001 bytes long, at most 100000000"));
  EXPECT_THAT(with_length(~0ull), HasSubstr("18446744073709551615 bytes long"));
  EXPECT_THAT(with_length(0), HasSubstr("not JSON"));
}

TEST(SafetensorsDamage, TruncatedAnywhere) {
  const std::string whole = container(kSound, 24);
  ASSERT_TRUE(parse(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) ASSERT_FALSE(parse(std::string_view(whole).substr(0, size)).ok()) << size;
}

TEST(SafetensorsDamage, RandomBytesNeverLeadOutside) {
  const std::string whole = container(kSound, 24);
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = whole;
    for (auto n = 1 + random() % 3; n > 0; --n) damaged[random() % (whole.size() - 24)] = "0129[]{},:\"-\xFF"[random() % 14];
    const auto file = parse(damaged);
    if (!file) continue;
    std::size_t covered = 0;
    for (const SafeTensor& t : file->tensors) covered += t.data.size();
    ASSERT_EQ(covered, damaged.size() - file->header.size());
  }
}

TEST(SafetensorsIndex, FilesEachOnce) {
  const auto files =
      read_safetensors_index(R"({"metadata":{},"weight_map":{"x":"b.safetensors","y":"a.safetensors","z":"b.safetensors"}})");
  ASSERT_TRUE(files.ok());
  EXPECT_THAT(*files, ElementsAre("a.safetensors", "b.safetensors"));
}

TEST(SafetensorsIndex, Lies) {
  for (const char* json : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"x":1}})",
                           R"({"weight_map":{"x":"../a.safetensors"}})", R"({"weight_map":{"x":"/etc/a.safetensors"}})",
                           R"({"weight_map":{"x":"weights.bin"}})", R"({"weight_map":{"x":".safetensors"}})",
                           R"({"weight_map":{"x":"a\u0000.safetensors"}})"}) {
    const auto files = read_safetensors_index(json);
    ASSERT_FALSE(files.ok()) << json;
    EXPECT_EQ(files.error().code, ErrorCode::bad_model);
    EXPECT_EQ(files.error().param, "weight_map");
  }
}

}  // namespace
}  // namespace shardline
