// SmolLM2-135M-Instruct in Q4_1, named by SHARDLINE_TEST_MODEL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "engine/weights/dequantize.h"
#include "engine/weights/model_file.h"

namespace shardline {
namespace {

using testing::ElementsAre;

TEST(RealModel, SmolLm2) {
  const char* path = std::getenv("SHARDLINE_TEST_MODEL");
  ASSERT_TRUE(path) << "SHARDLINE_TEST_MODEL must name SmolLM2-135M-Instruct.Q4_1.gguf (tests/run sets it)";
  const auto file = ModelFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const ModelConfig& c = file->config();
  EXPECT_EQ(c.layers, 30);
  EXPECT_EQ(c.dim, 576);
  EXPECT_EQ(c.ffn, 1536);
  EXPECT_EQ(c.query_heads, 9);
  EXPECT_EQ(c.kv_heads, 3);
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.vocab, 49152);
  EXPECT_EQ(c.context, 8192);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_TRUE(c.rows_interleaved);
  EXPECT_EQ(c.rope.theta, 100000);
  EXPECT_THAT(c.eos, ElementsAre(2));
  std::map<DType, int> types;
  for (const Tensor& t : file->tensors()) ++types[t.dtype];
  EXPECT_EQ(types, (std::map<DType, int>{{DType::f32, 61}, {DType::q4_1, 210}, {DType::q8_0, 1}}));

  const TokenizerSpec* spec = file->tokenizer();
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->tokens.size(), 49152u);
  EXPECT_EQ(spec->merges.size(), 48900u);
  EXPECT_EQ(spec->pre_tokenizer, "smollm");
  EXPECT_EQ(spec->tokens[2], "<|im_end|>");
  EXPECT_EQ(spec->kinds[2], TokenKind::control);
  EXPECT_EQ(spec->merges[0], "\xC4\xA0 t");
  EXPECT_FALSE(spec->add_bos);
  EXPECT_FALSE(spec->chat_template.empty());

  // Row 5 of layer 7's q, as the `gguf` package unpacks it.
  const Tensor* q = file->find(TensorRole::attn_q, 7);
  ASSERT_TRUE(q);
  std::vector<float> row(576);
  dequantize_row(q->dtype, q->data + 5 * q->row_bytes(), row);
  EXPECT_THAT(std::vector<float>(row.begin(), row.begin() + 4),
              ElementsAre(-0x1.7e80000000000p-3f, 0x1.47c0000000000p-3f, -0x1.f4e0000000000p-3f, -0x1.b600000000000p-7f));
}

}  // namespace
}  // namespace shardline
