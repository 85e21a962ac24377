#include "launcher/commands/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shardline::launcher {
namespace {

TEST(Shape, NamesAndNumbers) {
  const auto named = parse_shape("1b");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->layers, 16);
  EXPECT_EQ(named->dim, 2048);
  EXPECT_EQ(named->ffn, 8192);
  EXPECT_EQ(named->query_heads, 32);
  EXPECT_EQ(named->kv_heads, 8);
  EXPECT_EQ(named->head_dim, 64);
  EXPECT_TRUE(named->tied_embeddings);
  const auto changed = parse_shape("1b,layers=3,kv-heads=4");
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(changed->layers, 3);
  EXPECT_EQ(changed->kv_heads, 4);
  EXPECT_EQ(changed->dim, 2048);
  const auto numbers = parse_shape("layers=1,dim=64,ffn=96,heads=3,head-dim=32,context=100");
  ASSERT_TRUE(numbers.ok());
  EXPECT_EQ(numbers->kv_heads, 3);
  EXPECT_EQ(numbers->head_dim, 32);
  EXPECT_EQ(numbers->context, 100);
}

TEST(Shape, MistakesNameTheNumber) {
  for (const auto& [text, message] : {std::pair{"huge", "'huge' is none of"},
                                      {"layers", "'layers' is none of"},
                                      {"layers=2", "are needed"},
                                      {"", "are needed"},
                                      {"tiny,layers=0", "layers=0"},
                                      {"tiny,layers=99999999999", "layers=99999999999"},
                                      {"tiny,layers=2x", "layers=2x"},
                                      {"tiny,dim=250", "dim=250: must be 32 to 1048576 and a multiple of 32"},
                                      {"tiny,dim=-32", "dim=-32"},
                                      {"tiny,heads=3", "3 query heads do not divide among 2 KV heads"},
                                      {"tiny,head-dim=2", "4 query heads of 2"}}) {
    const auto shape = parse_shape(text);
    ASSERT_FALSE(shape.ok()) << text;
    EXPECT_EQ(shape.error().code, ErrorCode::usage);
    EXPECT_THAT(shape.error().message, testing::HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace shardline::launcher
