#include "engine/weights/gguf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/support/gguf_writer.h"

namespace shardline {
namespace {

using test::GgufWriter;
using test::le;
using testing::ElementsAre;
using testing::HasSubstr;
using Change = std::function<void(GgufWriter&)>;

template <class Read>
auto read_changed(const Change& change, Read read) {
  GgufWriter writer = test::small_llama();
  change(writer);
  const std::string bytes = writer.bytes();
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)));
  EXPECT_TRUE(file.ok()) << file.error().message;
  auto result = read(*file);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return *result;
}
ModelConfig config(const Change& change) { return read_changed(change, read_gguf_config); }
std::optional<TokenizerSpec> tokenizer(const Change& change) { return read_changed(change, read_gguf_tokenizer); }

TEST(GgufReader, ScalarsOfEveryType) {
  GgufWriter w;
  w.set_raw("u8", le(0) + "\xFF");
  w.set_raw("i8", le(1) + "\xFF");
  w.set_raw("u16", le(2) + "\xFE\xFF");
  w.set_raw("i16", le(3) + "\xFE\xFF");
  w.set_raw("u32", le(4) + le(-1));
  w.set_raw("i32", le(5) + le(-1));
  w.set("f32", 0.5f);
  w.set("bool", true);
  w.set("string", "text");
  w.set_raw("u64", le(10) + le(1ull << 62));
  w.set_raw("i64", le(11) + le(-5ll));
  w.set_raw("f64", le(12) + le(0.1));
  const std::string bytes = w.bytes();
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto integer = [&](const char* key) { return std::get<std::int64_t>(*file->scalar(key)); };
  EXPECT_EQ(integer("u8"), 255);
  EXPECT_EQ(integer("i8"), -1);
  EXPECT_EQ(integer("u16"), 65534);
  EXPECT_EQ(integer("i16"), -2);
  EXPECT_EQ(integer("u32"), 4294967295);
  EXPECT_EQ(integer("i32"), -1);
  EXPECT_EQ(integer("u64"), 1ll << 62);
  EXPECT_EQ(integer("i64"), -5);
  EXPECT_EQ(std::get<double>(*file->scalar("f32")), 0.5);
  EXPECT_EQ(std::get<double>(*file->scalar("f64")), 0.1);
  EXPECT_EQ(std::get<bool>(*file->scalar("bool")), true);
  EXPECT_EQ(std::get<std::string_view>(*file->scalar("string")), "text");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*file->scalar("absent")));
}

TEST(GgufReader, Version2AndAnotherAlignment) {
  GgufWriter w = test::small_llama();
  w.version = 2;
  w.alignment = 4096;
  w.set("general.alignment", 4096);
  const std::string bytes = w.bytes();
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->version(), 2);
  EXPECT_EQ(file->header_bytes() % 4096, 0u);
  for (std::size_t i = 0; i < w.tensors.size(); ++i) {
    const auto data = file->data(file->tensors()[i]);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()), w.tensors[i].data) << w.tensors[i].name;
  }
}

TEST(GgufConfig, Numbers) {
  const ModelConfig c = config([](GgufWriter&) {});
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.name, "small");
  EXPECT_EQ(c.layers, 2);
  EXPECT_EQ(c.dim, 32);
  EXPECT_EQ(c.ffn, 64);
  EXPECT_EQ(c.query_heads, 4);
  EXPECT_EQ(c.kv_heads, 2);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.vocab, 8);
  EXPECT_EQ(c.context, 128);
  EXPECT_EQ(c.norm_epsilon, 1e-5f);
  EXPECT_TRUE(c.rows_interleaved);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_EQ(c.rope.theta, 10000);
  EXPECT_EQ(c.rope.dims, 16);
  EXPECT_EQ(c.bos, 1);
  EXPECT_THAT(c.eos, ElementsAre(0));
}

TEST(GgufConfig, AbsentKeysMeanWhatLlamaCppTakesThemToMean) {
  const ModelConfig c = config([](GgufWriter& w) {
    for (const char* key : {"llama.attention.head_count_kv", "llama.attention.key_length", "llama.vocab_size", "general.name"})
      w.erase(key);
    w.erase_tensor("output.weight");
  });
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.vocab, 8);
  EXPECT_EQ(c.name, "");
  EXPECT_TRUE(c.tied_embeddings);
}

TEST(GgufConfig, SeveralTokensEndAText) {
  const Change change = [](GgufWriter& w) { w.set("tokenizer.ggml.eot_token_id", 7), w.set("tokenizer.ggml.eom_token_id", 0); };
  EXPECT_THAT(config(change).eos, ElementsAre(0, 7));
}

TEST(GgufConfig, RopeScaling) {
  EXPECT_EQ(config([](GgufWriter& w) { w.set("llama.rope.scaling.type", "none"), w.set("llama.rope.scaling.factor", 4.0f); }).rope.scaling,
            RopeScaling::none);
  const RopeConfig linear = config([](GgufWriter& w) { w.set("llama.rope.scaling.factor", 4.0f); }).rope;
  EXPECT_EQ(linear.scaling, RopeScaling::linear);
  EXPECT_EQ(linear.factor, 4);
  EXPECT_EQ(config([](GgufWriter& w) { w.set("llama.rope.scale_linear", 2.0f); }).rope.factor, 2);
  const Change to_yarn = [](GgufWriter& w) {
    w.set("llama.rope.scaling.type", "yarn"), w.set("llama.rope.scaling.factor", 4.0f), w.set("llama.rope.freq_base", 5e5f);
  };
  const RopeConfig yarn = config(to_yarn).rope;
  EXPECT_EQ(yarn.scaling, RopeScaling::yarn);
  EXPECT_EQ(yarn.theta, 5e5);
  EXPECT_EQ(yarn.original_context, 128);
  EXPECT_EQ(yarn.attention_factor, 0);
  const RopeConfig scaled = config([&](GgufWriter& w) {
                              to_yarn(w), w.set("llama.rope.scaling.attn_factor", 0.5f),
                                  w.set("llama.rope.scaling.original_context_length", 32);
                            }).rope;
  EXPECT_EQ(scaled.original_context, 32);
  EXPECT_DOUBLE_EQ(scaled.attention_factor, 0.5 * (0.1 * std::log(4.0) + 1));
}

TEST(GgufConfig, RopeFactors) {
  const RopeConfig rope = config([](GgufWriter& w) {
                            std::string factors;
                            for (const float f : {1.f, 1.f, 1.5f, 2.f, 4.f, 8.f, 8.f, 8.f}) factors += le(f);
                            w.tensors.push_back({"rope_freqs.weight", {8}, 0, factors});
                          }).rope;
  EXPECT_EQ(rope.scaling, RopeScaling::none);
  EXPECT_THAT(rope.factors, ElementsAre(1, 1, 1.5, 2, 4, 8, 8, 8));
}

TEST(GgufTokenizer, AsTheFileWritesIt) {
  const auto spec = tokenizer([](GgufWriter&) {});
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->model, "gpt2");
  EXPECT_EQ(spec->pre_tokenizer, "smollm");
  EXPECT_THAT(spec->tokens, ElementsAre("<eos>", "<bos>", "a", "b", "c", "ab", "abc", "<tool>"));
  EXPECT_EQ(spec->kinds[0], TokenKind::control);
  EXPECT_EQ(spec->kinds[2], TokenKind::normal);
  EXPECT_EQ(spec->kinds[7], TokenKind::user_defined);
  EXPECT_THAT(spec->merges, ElementsAre("a b", "ab c"));
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 0);
  EXPECT_EQ(spec->unknown, -1);
  EXPECT_EQ(spec->pad, -1);
  EXPECT_TRUE(spec->add_bos);
  EXPECT_FALSE(spec->ignore_merges);
  EXPECT_EQ(spec->chat_template, "{{ messages }}");
}

TEST(GgufTokenizer, Llama3) {
  for (const char* name : {"llama-bpe", "llama3", "llama-v3"}) {
    const auto spec = tokenizer([&](GgufWriter& w) { w.set("tokenizer.ggml.pre", name), w.erase("tokenizer.ggml.add_bos_token"); });
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->pre_tokenizer, "llama-bpe");
    EXPECT_TRUE(spec->ignore_merges);
    EXPECT_TRUE(spec->add_bos);
  }
}

TEST(GgufTokenizer, Absent) {
  EXPECT_FALSE(tokenizer([](GgufWriter& w) { w.erase("tokenizer.ggml.model"); }));
  EXPECT_FALSE(tokenizer([](GgufWriter& w) { w.set("tokenizer.ggml.model", "none"); }));
}

}  // namespace
}  // namespace shardline
