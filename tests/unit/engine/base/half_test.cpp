#include "engine/base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace shardline {
namespace {

static_assert(f16_to_f32(0x3C00) == 1.0f && f32_to_f16(-2.0f) == 0xC000 && f32_to_bf16(1.0f) == 0x3F80 && bf16_to_f32(0xBF80) == -1.0f);

TEST(Half, WidensByDefinition) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = static_cast<std::uint16_t>(bits);
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const float sign = h & 0x8000 ? -1.0f : 1.0f;
    const float got = f16_to_f32(h);
    if (exponent == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(got));
    } else if (exponent == 31) {
      EXPECT_EQ(got, sign * std::numeric_limits<float>::infinity());
    } else {
      EXPECT_EQ(got, sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                           : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25)));
    }
    EXPECT_EQ(std::signbit(got), (h & 0x8000) != 0);
  }
}

TEST(Half, EveryValueSurvivesARoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = static_cast<std::uint16_t>(bits);
    if (std::isnan(f16_to_f32(h)))
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f16_to_f32(h)))));
    else
      EXPECT_EQ(f32_to_f16(f16_to_f32(h)), h);
    if (std::isnan(bf16_to_f32(h)))
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(bf16_to_f32(h)))));
    else
      EXPECT_EQ(f32_to_bf16(bf16_to_f32(h)), h);
  }
}

// Halfway between two neighbours goes to the even one, and a hair to either side goes there.
template <class Widen, class Narrow>
void expect_nearest_even(Widen widen, Narrow narrow, std::uint16_t last_finite) {
  for (std::uint16_t low = 0; low < last_finite; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const auto middle = static_cast<float>((static_cast<double>(widen(low)) + static_cast<double>(widen(high))) / 2);
    if (middle == widen(low)) continue;  // bfloat16 subnormals whose middle is one of float32's last
    for (const float sign : {1.0f, -1.0f}) {
      const std::uint16_t bit = sign < 0 ? 0x8000 : 0;
      EXPECT_EQ(narrow(sign * middle), (low % 2 == 0 ? low : high) | bit);
      EXPECT_EQ(narrow(sign * std::nextafter(middle, 0.0f)), low | bit);
      EXPECT_EQ(narrow(sign * std::nextafter(middle, std::numeric_limits<float>::infinity())), high | bit);
    }
  }
}

TEST(Half, NarrowsToNearestEven) {
  expect_nearest_even(f16_to_f32, f32_to_f16, 0x7BFF);
  expect_nearest_even(bf16_to_f32, f32_to_bf16, 0x7F7F);
}

TEST(Half, OverflowsToInfinityAndUnderflowsToZero) {
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::max()), 0xFC00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(0x1.000002p-25f), 1);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::denorm_min()), 0x8000);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::infinity()), 0x7F80);
}

TEST(Half, NanWithALowPayloadStaysNan) {
  const float nan = std::bit_cast<float>(0x7F800001u);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(nan))));
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
}

}  // namespace
}  // namespace shardline
