#include "engine/text/tokenizer_json.h"

#include <gmock/gmock.h>

#include "tests/unit/engine/text/test_data.h"

namespace shardline {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

// The gpt-2 file with one value changed; `pointer` as JSON pointers write it.
std::string changed(const char* pointer, const char* value) {
  json::value file = testing::read_json("gpt-2.tokenizer.json");
  file.at_pointer(pointer) = json::parse(value);
  return json::serialize(file);
}

Error error_of(const std::string& file) {
  const auto spec = read_tokenizer_json(file, "");
  EXPECT_FALSE(spec.ok());
  return spec.ok() ? Error{} : spec.error();
}

TEST(TokenizerJson, ReadsVocabularyMergesAndKinds) {
  const auto spec = read_tokenizer_json(testing::read_data("smollm.tokenizer.json"), "");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->model, "gpt2");
  EXPECT_EQ(spec->pre_tokenizer, "smollm");
  ASSERT_EQ(spec->tokens.size(), 563u);
  EXPECT_EQ(spec->merges.size(), 300u);
  EXPECT_EQ(spec->tokens[556], "<|begin|>");
  EXPECT_EQ(spec->kinds[556], TokenKind::control);
  EXPECT_EQ(spec->kinds[561], TokenKind::user_defined);
  EXPECT_EQ(spec->kinds[0], TokenKind::normal);
  EXPECT_EQ(spec->bos, -1);
  EXPECT_FALSE(spec->add_bos);
  EXPECT_FALSE(spec->ignore_merges);
  EXPECT_TRUE(read_tokenizer_json(testing::read_data("llama-bpe.tokenizer.json"), "")->ignore_merges);
}

TEST(TokenizerJson, MergesMayBeStrings) {
  json::value file = testing::read_json("gpt-2.tokenizer.json");
  for (json::value& merge : file.at("model").at("merges").as_array()) merge = testing::text(merge.at(0)) + " " + testing::text(merge.at(1));
  EXPECT_EQ(read_tokenizer_json(json::serialize(file), "")->merges,
            read_tokenizer_json(testing::read_data("gpt-2.tokenizer.json"), "")->merges);
}

TEST(TokenizerJson, ReadsTheConfig) {
  const auto spec = read_tokenizer_json(testing::read_data("gpt-2.tokenizer.json"), R"({
    "bos_token": "<|begin|>", "eos_token": {"content": "<|end|>", "lstrip": false}, "pad_token": null, "add_bos_token": true,
    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->bos, 556);
  EXPECT_EQ(spec->eos, 557);
  EXPECT_EQ(spec->pad, -1);
  EXPECT_TRUE(spec->add_bos);
  EXPECT_EQ(spec->chat_template, "D");
  EXPECT_EQ(read_tokenizer_json(testing::read_data("gpt-2.tokenizer.json"), R"({"chat_template": "S"})")->chat_template, "S");
}

TEST(TokenizerJson, APostProcessorMayAddBos) {
  const std::string single = R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
    {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [556], "tokens": []}}})";
  const std::string sequence = R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, )" + single + "]}";
  for (const std::string& section : {single, sequence}) {
    const auto spec = read_tokenizer_json(changed("/post_processor", section.c_str()), "");
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    EXPECT_TRUE(spec->add_bos);
    EXPECT_EQ(spec->bos, 556);
    EXPECT_FALSE(read_tokenizer_json(changed("/post_processor", section.c_str()), R"({"add_bos_token": false})")->add_bos);
  }
}

TEST(TokenizerJson, NamesWhatItDoesNotKnow) {
  const struct {
    const char *pointer, *value, *param, *word;
  } cases[] = {
      {"/model/type", "\"Unigram\"", "model", "Unigram"},
      {"/model/byte_fallback", "true", "model.byte_fallback", "unsupported"},
      {"/model/vocab", "{\"a\": -1}", "model.vocab[\"a\"]", "token id"},
      {"/model/vocab", "{\"a\": 99999999999}", "model.vocab[\"a\"]", "token id"},
      {"/model/vocab", "[]", "model.vocab", "no tokens"},
      {"/normalizer", R"({"type": "Lowercase"})", "normalizer", "Lowercase"},
      {"/decoder", R"({"type": "Metaspace"})", "decoder", "Metaspace"},
      {"/pre_tokenizer", R"({"type": "Metaspace"})", "pre_tokenizer", "Metaspace"},
      {"/pre_tokenizer", "null", "pre_tokenizer", "ByteLevel"},
      {"/pre_tokenizer/add_prefix_space", "true", "pre_tokenizer.add_prefix_space", "unsupported"},
      {"/pre_tokenizer",
       R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "[xyz]+"}, "behavior": "Isolated"}, )"
       R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
       "pre_tokenizer", "[xyz]+"},
      {"/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}]})", "pre_tokenizer.pretokenizers[0]",
       "Punctuation"},
      {"/post_processor", R"({"type": "RobertaProcessing"})", "post_processor", "RobertaProcessing"},
      {"/post_processor", R"({"type": "TemplateProcessing", "single": [{"Sequence": {}}, {"SpecialToken": {"id": "x"}}]})",
       "post_processor.single", ""},
      {"/added_tokens/0/lstrip", "true", "added_tokens[0].lstrip", "<|begin|>"},
  };
  for (const auto& c : cases) {
    const Error error = error_of(changed(c.pointer, c.value));
    EXPECT_EQ(error.code, ErrorCode::bad_model);
    EXPECT_EQ(error.param, c.param) << error.message;
    EXPECT_THAT(error.message, HasSubstr(c.word));
  }
}

TEST(TokenizerJson, RefusesWhatIsNotJson) {
  EXPECT_EQ(error_of("").code, ErrorCode::bad_model);
  EXPECT_EQ(error_of("[1]").code, ErrorCode::bad_model);
  EXPECT_EQ(error_of(std::string(100'000, '[')).code, ErrorCode::bad_model);
  EXPECT_FALSE(read_tokenizer_json(testing::read_data("gpt-2.tokenizer.json"), "{").ok());
}

}  // namespace
}  // namespace shardline
