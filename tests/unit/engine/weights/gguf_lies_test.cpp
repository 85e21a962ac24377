// GGUF files that lie about themselves: each is refused with an error that names what is wrong, and nothing is read outside the file.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/weights/gguf_config.h"
#include "engine/weights/gguf_reader.h"
#include "engine/weights/model_file.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temporary_folder.h"

namespace shardline {
namespace {

using test::counted;
using test::GgufWriter;
using test::le;
using testing::HasSubstr;

constexpr std::uint64_t kHuge = 1ull << 61;

struct Lie {
  const char* name;
  std::function<void(GgufWriter&)> tell;
  const char* answer;  // part of the error's message
};

const Lie kLies[] = {
    // The header.
    {"magic", [](GgufWriter& w) { w.magic = "GGML"; }, "header at offset 0: does not begin with GGUF"},
    {"version_0", [](GgufWriter& w) { w.version = 0; }, "GGUF version 0"},
    {"version_1", [](GgufWriter& w) { w.version = 1; }, "GGUF version 1"},
    {"version_4", [](GgufWriter& w) { w.version = 4; }, "GGUF version 4"},
    {"big_endian", [](GgufWriter& w) { w.version = 3 << 24; }, "big-endian"},
    {"keys_cve_2024_23605", [](GgufWriter& w) { w.key_count = kHuge; }, "header at offset 24: 2305843009213693952 keys in"},
    {"keys_all_ones", [](GgufWriter& w) { w.key_count = ~0ull; }, "18446744073709551615 keys"},
    {"one_key_more", [](GgufWriter& w) { w.key_count = w.keys.size() + 1; }, "a string of"},
    {"one_key_less", [](GgufWriter& w) { w.key_count = w.keys.size() - 1; }, "tensor '"},
    {"tensors_cve_2024_21836", [](GgufWriter& w) { w.tensor_count = kHuge; }, "2305843009213693952 tensors in"},
    {"one_tensor_more", [](GgufWriter& w) { w.tensor_count = w.tensors.size() + 1; }, "tensor"},
    {"no_tensors", [](GgufWriter& w) { w.tensor_count = 0; }, "token_embd.weight: missing"},

    // Keys.
    {"key_without_name", [](GgufWriter& w) { w.keys[3].name.clear(); }, "key 3 has no name"},
    {"key_too_long", [](GgufWriter& w) { w.keys[3].name.assign(65536, 'k'); }, "a string of 65536 bytes, at most 65535"},
    {"key_twice", [](GgufWriter& w) { w.keys.push_back(w.keys[2]); }, "key 'llama.block_count' at offset"},
    {"value_type_13", [](GgufWriter& w) { w.keys[3].value = le(13) + le(1); }, "value type 13 is unknown"},
    {"value_type_negative", [](GgufWriter& w) { w.keys[3].value = le(-1) + le(1); }, "value type 4294967295 is unknown"},
    {"string_cve_2024_23496", [](GgufWriter& w) { w.key("general.name").value = le(8) + le(kHuge); }, "key 'general.name' at offset"},
    {"string_all_ones", [](GgufWriter& w) { w.key("general.name").value = le(8) + le(~0ull); }, "a string of 18446744073709551615 bytes"},
    {"array_of_arrays", [](GgufWriter& w) { w.set_raw("x", le(9) + le(9) + le(1ull)); }, "key 'x' at offset"},
    {"array_of_unknown", [](GgufWriter& w) { w.set_raw("x", le(9) + le(99) + le(1ull)); }, "value type 99 is unknown"},
    {"array_too_long", [](GgufWriter& w) { w.set_raw("x", le(9) + le(10) + le(kHuge)); }, "2305843009213693952 values of at least 8 bytes"},
    {"array_of_strings_too_long", [](GgufWriter& w) { w.set_raw("x", le(9) + le(8) + le(~0ull >> 3)); }, "values of at least 8 bytes"},
    {"string_in_array", [](GgufWriter& w) { w.set_raw("x", le(9) + le(8) + le(1ull) + le(kHuge)); }, "key 'x'"},
    {"boolean_2", [](GgufWriter& w) { w.set_raw("x", le(7) + "\2"); }, "a boolean that is neither 0 nor 1"},
    {"alignment_0", [](GgufWriter& w) { w.set("general.alignment", 0); }, "key 'general.alignment' at offset"},
    {"alignment_48", [](GgufWriter& w) { w.set("general.alignment", 48); }, "48 is not a power of two"},
    {"alignment_2_31", [](GgufWriter& w) { w.set("general.alignment", 0x80000000u); }, "2147483648 is not a power of two from 8 to 65536"},
    {"alignment_string", [](GgufWriter& w) { w.set("general.alignment", "32"); }, "is not a power of two"},

    // Tensors.
    {"tensor_without_name", [](GgufWriter& w) { w.tensors[4].name.clear(); }, "tensor 4 has no name"},
    {"tensor_name_too_long", [](GgufWriter& w) { w.tensors[4].name.assign(65, 't'); }, "a string of 65 bytes, at most 64"},
    {"tensor_twice", [](GgufWriter& w) { w.tensors[4].name = w.tensors[3].name; }, "tensor 'blk.0.attn_norm.weight' at offset"},
    {"dimensions_0", [](GgufWriter& w) { w.tensors[4].dimension_count = 0; }, "0 dimensions, not 1 to 4"},
    {"dimensions_5", [](GgufWriter& w) { w.tensors[4].dimension_count = 5; }, "5 dimensions, not 1 to 4"},
    {"dimensions_cve_2024_21802", [](GgufWriter& w) { w.tensors[4].dimension_count = 0x40000000; }, "1073741824 dimensions"},
    {"dimension_zero_ggml_1517", [](GgufWriter& w) { w.tensors[4].dimensions[1] = 0; }, "dimension 1 is 0"},
    {"dimension_negative", [](GgufWriter& w) { w.tensors[4].dimensions[1] = ~0ull; }, "dimension 1 is 18446744073709551615"},
    {"rows_overflow",
     [](GgufWriter& w) {
       w.tensors[4].dimensions = {32, 1ull << 40, 1ull << 40};
     },
     "more rows than 64 bits count"},
    {"bytes_overflow_cve_2025_53630", [](GgufWriter& w) { w.tensors[3].dimensions = {1ull << 62}; }, "more bytes than 64 bits count"},
    {"bytes_overflow_cve_2026_33298",
     [](GgufWriter& w) {
       w.tensors[3].dimensions = {1ull << 32, 1ull << 30};
     },
     "more bytes than 64 bits count"},
    {"columns_not_whole_blocks",
     [](GgufWriter& w) {
       w.tensors[4].dimensions = {33, 64};
     },
     "33 columns are not whole blocks of Q4_1"},
    {"tensor_type_unknown", [](GgufWriter& w) { w.tensors[4].type = 77; }, "tensor 'blk.0.attn_q.weight' at offset"},
    {"tensor_type_negative", [](GgufWriter& w) { w.tensors[4].type = 0xFFFFFFFF; }, "tensor type 4294967295 is unknown"},
    {"tensor_type_removed", [](GgufWriter& w) { w.tensors[4].type = 4; }, "tensor type 4 is unknown"},
    {"tensor_type_unsupported", [](GgufWriter& w) { w.tensors[4].type = 21; }, "tensor type IQ3_S is not supported"},
    {"offset_unaligned", [](GgufWriter& w) { w.tensors[4].offset = 8; }, "its data at 8 is not aligned to 32"},
    {"offset_beyond_cve_2026_7482", [](GgufWriter& w) { w.tensors[4].offset = 1ull << 30; }, "do not fit into"},
    {"offset_wraps", [](GgufWriter& w) { w.tensors[4].offset = ~0ull << 5; }, "do not fit into"},
    {"size_beyond", [](GgufWriter& w) { w.tensors[4].dimensions[1] = 1 << 20; }, "bytes of data at"},
    {"shared_data", [](GgufWriter& w) { w.tensors[4].offset = 0; }, "shares data with tensor"},

    // A sound file whose configuration lies.
    {"no_architecture", [](GgufWriter& w) { w.erase("general.architecture"); }, "general.architecture: missing"},
    {"architecture", [](GgufWriter& w) { w.set("general.architecture", "mamba"); }, "architecture 'mamba' is not supported (known: llama"},
    {"architecture_number", [](GgufWriter& w) { w.set("general.architecture", 1); }, "general.architecture: not a string"},
    {"no_layers", [](GgufWriter& w) { w.erase("llama.block_count"); }, "llama.block_count: missing"},
    {"layers_0", [](GgufWriter& w) { w.set("llama.block_count", 0); }, "llama.block_count: 0 is not between 1 and 1024"},
    {"layers_cve_2024_8063", [](GgufWriter& w) { w.set("llama.block_count", "two"); }, "llama.block_count: not an integer"},
    {"layers_float", [](GgufWriter& w) { w.set("llama.block_count", 2.0f); }, "llama.block_count: not an integer"},
    {"layers_array", [](GgufWriter& w) { w.set("llama.block_count", std::vector<std::int32_t>{2}); }, "key 'llama.block_count' at offset"},
    {"layers_64_bits", [](GgufWriter& w) { w.set_raw("llama.block_count", le(10) + le(~0ull)); }, "a number beyond 63 bits"},
    {"layers_more_than_tensors", [](GgufWriter& w) { w.set("llama.block_count", 3); }, "tensor 'blk.2.attn_norm.weight': missing"},
    {"layers_fewer_than_tensors", [](GgufWriter& w) { w.set("llama.block_count", 1); }, "has no place in architecture llama"},
    {"dim_other", [](GgufWriter& w) { w.set("llama.embedding_length", 64); }, "tensor 'token_embd.weight': 8 rows of 32, not 8 of 64"},
    {"heads_0", [](GgufWriter& w) { w.set("llama.attention.head_count", 0); }, "llama.attention.head_count: 0 is not between"},
    {"heads_do_not_divide", [](GgufWriter& w) { w.set("llama.attention.head_count_kv", 3); },
     "4 query heads do not divide among 3 KV heads"},
    {"more_kv_heads", [](GgufWriter& w) { w.set("llama.attention.head_count_kv", 8); },
     "llama.attention.head_count_kv: 8 is not between 1 and 4"},
    {"head_dim_odd", [](GgufWriter& w) { w.set("llama.attention.key_length", 15); }, "head dimension 15 is not even"},
    {"value_length", [](GgufWriter& w) { w.set("llama.attention.value_length", 8); },
     "llama.attention.value_length: 8 is not between 16 and 16"},
    {"experts", [](GgufWriter& w) { w.set("llama.expert_count", 8); }, "llama.expert_count: 8"},
    {"epsilon_nan", [](GgufWriter& w) { w.set("llama.attention.layer_norm_rms_epsilon", std::nanf("")); }, "nan is not between 0 and 1"},
    {"vocabulary_size", [](GgufWriter& w) { w.set("llama.vocab_size", 9); }, "llama.vocab_size: 9 is not between 8 and 8"},
    {"rope_dims_odd", [](GgufWriter& w) { w.set("llama.rope.dimension_count", 15); }, "15 rotated dimensions"},
    {"rope_dims", [](GgufWriter& w) { w.set("llama.rope.dimension_count", 32); }, "llama.rope.dimension_count: 32 is not between 2 and 16"},
    {"rope_base_infinite", [](GgufWriter& w) { w.set("llama.rope.freq_base", HUGE_VALF); }, "llama.rope.freq_base: inf is not between"},
    {"rope_scaling", [](GgufWriter& w) { w.set("llama.rope.scaling.type", "longrope"); }, "'longrope' is not supported"},
    {"rope_factors", [](GgufWriter& w) { w.add("rope_freqs.weight", DType::f32, {4}); }, "4 factors for 8 frequencies"},
    {"rope_factors_zero",
     [](GgufWriter& w) {
       w.tensors.push_back({"rope_freqs.weight", {8}, 0, std::string(32, '\0')});
     },
     "a factor of 0"},
    {"tensor_missing", [](GgufWriter& w) { w.erase_tensor("blk.1.ffn_up.weight"); }, "tensor 'blk.1.ffn_up.weight': missing"},
    {"tensor_without_place", [](GgufWriter& w) { w.add("blk.0.attn_q.bias", DType::f32, {64}); },
     "tensor 'blk.0.attn_q.bias': has no place"},
    {"tensor_transposed",
     [](GgufWriter& w) {
       w.tensor("blk.0.attn_q.weight").dimensions = {64, 32};
     },
     "32 rows of 64, not 64 of 32"},
    {"split_file", [](GgufWriter& w) { w.set("split.count", 3); }, "split.count: 3"},

    // A tokenizer that lies.
    {"tokens_missing", [](GgufWriter& w) { w.erase("tokenizer.ggml.tokens"); }, "tokenizer.ggml.tokens: missing"},
    {"tokens_are_numbers", [](GgufWriter& w) { w.set("tokenizer.ggml.tokens", std::vector<std::int32_t>{1}); },
     "tokenizer.ggml.tokens: not an array of strings"},
    {"tokens_beyond_vocabulary",
     [](GgufWriter& w) { w.set("tokenizer.ggml.tokens", std::vector<std::string>(9, "x")), w.erase("tokenizer.ggml.token_type"); },
     "9 tokens, but the model knows 8"},
    {"token_of_64_kib", [](GgufWriter& w) { w.set("tokenizer.ggml.tokens", std::vector<std::string>(8, std::string(65537, 'x'))); },
     "token 0 has 65537 bytes"},
    {"token_types_short", [](GgufWriter& w) { w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>(7, 1)); },
     "7 types of 8 tokens"},
    {"token_type_9", [](GgufWriter& w) { w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>(8, 9)); }, "token 0 has type 9"},
    {"token_type_negative", [](GgufWriter& w) { w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>(8, -1)); },
     "token 0 has type -1"},
    {"eos_beyond", [](GgufWriter& w) { w.set("tokenizer.ggml.eos_token_id", 8); }, "tokenizer.ggml.eos_token_id: 8 is not between 0 and 7"},
    {"bos_negative", [](GgufWriter& w) { w.set("tokenizer.ggml.bos_token_id", -1); }, "tokenizer.ggml.bos_token_id: 4294967295"},
    {"add_bos_number", [](GgufWriter& w) { w.set("tokenizer.ggml.add_bos_token", 1); }, "tokenizer.ggml.add_bos_token: not true or false"},
    {"template_array", [](GgufWriter& w) { w.set("tokenizer.chat_template", std::vector<std::string>{"x"}); },
     "key 'tokenizer.chat_template' at offset"},
};

class GgufLies : public testing::TestWithParam<Lie> {};

TEST_P(GgufLies, AreRefusedByName) {
  const test::TemporaryFolder folder;
  GgufWriter writer = test::small_llama();
  GetParam().tell(writer);
  const auto file = ModelFile::open(folder.write("lie.gguf", writer.bytes()));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::bad_model);
  EXPECT_THAT(file.error().message, HasSubstr(GetParam().answer));
  EXPECT_THAT(file.error().message, HasSubstr("lie.gguf: "));
}

INSTANTIATE_TEST_SUITE_P(Table, GgufLies, testing::ValuesIn(kLies), [](const auto& test) { return std::string(test.param.name); });

// All that is read of a file, from a buffer that ends where the file does.
Status read_all(std::string_view bytes) {
  const std::vector<std::byte> exact(reinterpret_cast<const std::byte*>(bytes.data()),
                                     reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
  const auto file = GgufFile::parse(exact);
  if (!file) return file.error();
  for (const GgufTensor& t : file->tensors()) {
    EXPECT_GE(file->data(t).data(), exact.data());
    EXPECT_LE(file->data(t).data() + file->data(t).size(), exact.data() + exact.size());
  }
  if (const auto config = read_gguf_config(*file); !config) return config.error();
  if (const auto spec = read_gguf_tokenizer(*file); !spec) return spec.error();
  return {};
}

TEST(GgufDamage, TruncatedAnywhere) {
  const std::string whole = test::small_llama().bytes();
  ASSERT_TRUE(read_all(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Status status = read_all(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(status.ok()) << size << " of " << whole.size() << " bytes";
    ASSERT_EQ(status.error().code, ErrorCode::bad_model);
  }
}

TEST(GgufDamage, RandomBytesNeverLeadOutside) {
  const std::string whole = test::small_llama().bytes();
  const std::size_t header = GgufFile::parse(std::as_bytes(std::span(whole)))->header_bytes();
  constexpr unsigned char kValues[] = {0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF};
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = whole;
    for (auto n = 1 + random() % 3; n > 0; --n) damaged[random() % header] = static_cast<char>(kValues[random() % std::size(kValues)]);
    refused += !read_all(damaged).ok();
  }
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace shardline
