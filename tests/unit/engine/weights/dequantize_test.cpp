#include "engine/weights/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/weights/mapped_file.h"
#include "engine/weights/safetensors_reader.h"

namespace shardline {
namespace {

class Dequantize : public testing::TestWithParam<DType> {};

// Random and extreme blocks, and what the `gguf` package makes of them (tests/data/weights/make_dequantize.py): equal bits.
TEST_P(Dequantize, EqualsGguf) {
  const auto map = MappedFile::open(SHARDLINE_TEST_DATA "/weights/dequantize.safetensors");
  ASSERT_TRUE(map.ok()) << map.error().message;
  const auto file = SafetensorsFile::parse(map->bytes());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const DTypeInfo info = dtype_info(GetParam());
  std::span<const std::byte> blocks, values;
  for (const SafeTensor& t : file->tensors) {
    if (t.name == std::string(info.name) + ".blocks") blocks = t.data;
    if (t.name == std::string(info.name) + ".values") values = t.data;
  }
  std::vector<float> want(values.size() / sizeof(float)), got(want.size());
  std::memcpy(want.data(), values.data(), values.size());
  ASSERT_EQ(want.size() % static_cast<std::size_t>(info.block_values), 0u);
  ASSERT_EQ(blocks.size(), want.size() / static_cast<std::size_t>(info.block_values) * info.block_bytes);
  ASSERT_GE(want.size(), 1000u);
  dequantize_row(GetParam(), blocks.data(), got);
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]))
      ASSERT_TRUE(std::isnan(got[i])) << i;
    else
      ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(float)), 0) << i << ": " << got[i] << ", not " << want[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantize, testing::Values(DType::q4_0, DType::q4_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k, DType::f16, DType::bf16),
                         [](const auto& test) { return std::string(dtype_info(test.param).name); });

TEST(Dequantize, UnalignedFloatsAreCopied) {
  const float numbers[] = {1.5f, -0.0f, INFINITY};
  std::byte row[sizeof numbers + 1];
  std::memcpy(row + 1, numbers, sizeof numbers);
  float out[3];
  dequantize_row(DType::f32, row + 1, out);
  EXPECT_EQ(std::memcmp(out, numbers, sizeof numbers), 0);
}

}  // namespace
}  // namespace shardline
