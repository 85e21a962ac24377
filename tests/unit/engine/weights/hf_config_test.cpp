#include "engine/weights/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace shardline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The least a config.json holds, with more members in front, as `"head_dim": 16,`.
std::string with(std::string_view members, std::string_view heads = "4") {
  return std::string("{").append(members).append(
             R"("model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"vocab_size":320,)") +
         R"("num_attention_heads":)" + std::string(heads) + "}";
}

ModelConfig read(std::string_view members, std::string_view generation = "") {
  const auto config = read_hf_config(with(members), generation);
  EXPECT_TRUE(config.ok()) << config.error().message;
  return config.ok() ? *config : ModelConfig{};
}

TEST(HfConfig, AbsentKeysMeanWhatTransformersTakesThemToMean) {
  const ModelConfig c = read("");
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.layers, 2);
  EXPECT_EQ(c.dim, 64);
  EXPECT_EQ(c.ffn, 96);
  EXPECT_EQ(c.vocab, 320);
  EXPECT_EQ(c.query_heads, 4);
  EXPECT_EQ(c.kv_heads, 4);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.context, 2048);
  EXPECT_FLOAT_EQ(c.norm_epsilon, 1e-6f);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_FALSE(c.rows_interleaved);
  EXPECT_EQ(c.rope.theta, 10000);
  EXPECT_EQ(c.rope.dims, 16);
  EXPECT_EQ(c.rope.scaling, RopeScaling::none);
  EXPECT_THAT(c.eos, IsEmpty());
  EXPECT_EQ(c.bos, -1);
}

TEST(HfConfig, GivenKeys) {
  const ModelConfig c = read(
      R"("head_dim":32,"num_key_value_heads":2,"max_position_embeddings":99,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":[2,3],"partial_rotary_factor":0.5,"torch_dtype":"bfloat16","pretraining_tp":1,)");
  EXPECT_EQ(c.head_dim, 32);
  EXPECT_EQ(c.kv_heads, 2);
  EXPECT_EQ(c.context, 99);
  EXPECT_FLOAT_EQ(c.norm_epsilon, 1e-5f);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_EQ(c.bos, 1);
  EXPECT_EQ(c.rope.dims, 16);
  EXPECT_THAT(c.eos, ElementsAre(2, 3));
}

TEST(HfConfig, EosIsANumberOrAListAndGenerationConfigHasTheLastWord) {
  EXPECT_THAT(read(R"("eos_token_id":7,)").eos, ElementsAre(7));
  EXPECT_THAT(read(R"("eos_token_id":null,)").eos, IsEmpty());
  EXPECT_THAT(read(R"("eos_token_id":7,)", R"({"eos_token_id":[8,9]})").eos, ElementsAre(8, 9));
  EXPECT_THAT(read(R"("eos_token_id":7,)", R"({"temperature":0.6})").eos, ElementsAre(7));
}

TEST(HfConfig, RopeOfTransformers5) {
  const RopeConfig rope =
      read(
          R"("rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":64},)")
          .rope;
  EXPECT_EQ(rope.scaling, RopeScaling::llama3);
  EXPECT_EQ(rope.theta, 500000);
  EXPECT_EQ(rope.factor, 8);
  EXPECT_EQ(rope.low_freq_factor, 1);
  EXPECT_EQ(rope.high_freq_factor, 4);
  EXPECT_EQ(rope.original_context, 64);
}

TEST(HfConfig, RopeOfOlderFiles) {
  const RopeConfig linear = read(R"("rope_theta":1000000,"rope_scaling":{"type":"linear","factor":2},)").rope;
  EXPECT_EQ(linear.scaling, RopeScaling::linear);
  EXPECT_EQ(linear.theta, 1000000);
  EXPECT_EQ(linear.factor, 2);
  EXPECT_EQ(read(R"("rope_theta":500.5,"rope_scaling":null,)").rope.theta, 500.5);
}

TEST(HfConfig, Yarn) {
  const RopeConfig plain =
      read(R"("max_position_embeddings":256,"rope_scaling":{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":64},)").rope;
  EXPECT_EQ(plain.scaling, RopeScaling::yarn);
  EXPECT_EQ(plain.factor, 4);
  EXPECT_EQ(plain.original_context, 64);
  EXPECT_EQ(plain.beta_fast, 32);
  EXPECT_EQ(plain.beta_slow, 1);
  EXPECT_EQ(plain.attention_factor, 0);
  EXPECT_EQ(read(R"("rope_scaling":{"rope_type":"yarn","original_max_position_embeddings":512},)").rope.factor, 4);
  const RopeConfig full =
      read(R"("rope_scaling":{"rope_type":"yarn","factor":4,"beta_fast":16,"beta_slow":2,"attention_factor":1.25},)").rope;
  EXPECT_EQ(full.attention_factor, 1.25);
  EXPECT_EQ(full.beta_fast, 16);
  EXPECT_EQ(full.beta_slow, 2);
  EXPECT_EQ(full.original_context, 2048);
  const RopeConfig deepseek = read(R"("rope_scaling":{"type":"yarn","factor":40,"mscale":0.707,"mscale_all_dim":1.0},)").rope;
  EXPECT_DOUBLE_EQ(deepseek.attention_factor, (0.1 * 0.707 * std::log(40.0) + 1) / (0.1 * std::log(40.0) + 1));
}

struct Lie {
  const char* name;
  std::string config;
  const char* answer;
};

const Lie kLies[] = {
    {"empty", "", "config.json: "},
    {"array", "[]", "config.json: not an object"},
    {"no_model_type", "{}", "model_type: missing"},
    {"model_type", R"({"model_type":"mamba"})", "architecture 'mamba' is not supported (known: llama"},
    {"model_type_number", R"({"model_type":1})", "model_type: not a string"},
    {"no_heads", R"({"model_type":"llama","num_hidden_layers":1,"hidden_size":64,"intermediate_size":64,"vocab_size":8})",
     "num_attention_heads: missing"},
    {"heads_zero", with("", "0"), "num_attention_heads: 0 is not between"},
    {"heads_text", with("", "\"4\""), "num_attention_heads: not an integer"},
    {"heads_fraction", with("", "4.5"), "num_attention_heads: not an integer"},
    {"heads_list", with("", "[4]"), "num_attention_heads: not a single value"},
    {"heads_2_63", with("", "9223372036854775808"), "num_attention_heads: not a single value, or beyond 63 bits"},
    {"kv_heads_negative", with(R"("num_key_value_heads":-1,)"), "num_key_value_heads: -1 is not between 1 and 4"},
    {"epsilon_infinite", with(R"("rms_norm_eps":1e999,)"), "rms_norm_eps"},
    {"tied_number", with(R"("tie_word_embeddings":1,)"), "tie_word_embeddings: not true or false"},
    {"eos_beyond", with(R"("eos_token_id":320,)"), "eos_token_id: not an id in a vocabulary of 320"},
    {"eos_text", with(R"("eos_token_id":["</s>"],)"), "eos_token_id: not an id"},
    {"bos_beyond", with(R"("bos_token_id":320,)"), "bos_token_id: 320 is not between 0 and 319"},
    {"activation", with(R"("hidden_act":"gelu",)"), "hidden_act: 'gelu' is not supported"},
    {"bias", with(R"("attention_bias":true,)"), "attention_bias: not supported"},
    {"quantised", with(R"("quantization_config":{"quant_method":"gptq"},)"),
     "quantization_config: quantised safetensors are not supported"},
    {"rope_type", with(R"("rope_scaling":{"rope_type":"longrope"},)"), "rope_scaling.rope_type: 'longrope' is not supported"},
    {"rope_no_factor", with(R"("rope_parameters":{"rope_type":"linear"},)"), "rope_parameters.factor: missing"},
    {"rope_theta_0", with(R"("rope_theta":0,)"), "rope_theta: 0 is not between"},
    {"yarn_truncate", with(R"("rope_scaling":{"rope_type":"yarn","truncate":false},)"), "rope_scaling.truncate: false is not supported"},
};

class HfConfigLies : public testing::TestWithParam<Lie> {};

TEST_P(HfConfigLies, AreRefusedByName) {
  const auto config = read_hf_config(GetParam().config, "");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, ErrorCode::bad_model);
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().answer));
}

INSTANTIATE_TEST_SUITE_P(Table, HfConfigLies, testing::ValuesIn(kLies), [](const auto& test) { return std::string(test.param.name); });

TEST(HfConfigLies, GenerationConfig) {
  EXPECT_THAT(read_hf_config(with(""), "{").error().message, HasSubstr("generation_config.json: "));
  EXPECT_THAT(read_hf_config(with(""), R"({"eos_token_id":-1})").error().message, HasSubstr("eos_token_id"));
}

}  // namespace
}  // namespace shardline
