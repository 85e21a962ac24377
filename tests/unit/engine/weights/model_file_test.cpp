#include "engine/weights/model_file.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "engine/weights/dequantize.h"
#include "engine/weights/safetensors_reader.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/reference.h"
#include "tests/support/temporary_folder.h"

namespace shardline {
namespace {

using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kModels = SHARDLINE_TEST_DATA "/models/";

ModelFile open(const std::string& path) {
  auto file = ModelFile::open(path);
  EXPECT_TRUE(file.ok()) << file.error().message;
  return std::move(*file);
}

std::string error_of(const std::string& path) {
  const auto file = ModelFile::open(path);
  EXPECT_FALSE(file.ok());
  return file.ok() ? "" : file.error().message;
}

TEST(ModelFile, GgufTensorsByRole) {
  const TemporaryFolder folder;
  const test::GgufWriter writer = test::small_llama();
  const ModelFile file = open(folder.write("m.gguf", writer.bytes()));
  EXPECT_EQ(file.format(), "GGUF v3");
  ASSERT_EQ(file.tensors().size(), writer.tensors.size());
  for (std::size_t i = 0; i < writer.tensors.size(); ++i) {
    const Tensor& t = file.tensors()[i];
    EXPECT_EQ(t.name, writer.tensors[i].name);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(t.data), t.bytes), writer.tensors[i].data);
  }
  const Tensor* output = file.find(TensorRole::attn_output, 1);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->name, "blk.1.attn_output.weight");
  EXPECT_EQ(output->dtype, DType::q4_1);
  EXPECT_EQ(output->rows, 32);
  EXPECT_EQ(output->columns, 64);
  EXPECT_EQ(output->row_bytes(), 40u);
  EXPECT_TRUE(file.find(TensorRole::output));
  EXPECT_EQ(file.find(TensorRole::token_embedding)->dtype, DType::q8_0);
  EXPECT_FALSE(file.find(TensorRole::attn_output, 2));
  EXPECT_FALSE(file.find(TensorRole::attn_output));
  ASSERT_TRUE(file.tokenizer());
  EXPECT_EQ(file.tokenizer()->tokens.size(), 8u);
}

TEST(ModelFile, ReleasedPagesComeBackUnchanged) {
  const TemporaryFolder folder;
  test::GgufWriter writer = test::small_llama();
  writer.set("llama.vocab_size", 4096);
  writer.tensor("token_embd.weight").dimensions[1] = writer.tensor("output.weight").dimensions[1] = 4096;
  writer.tensor("token_embd.weight").data.assign(4096 * 34, 'e');
  writer.tensor("output.weight").data.assign(4096 * 64, 'o');
  const ModelFile file = open(folder.write("m.gguf", writer.bytes()));
  for (const Tensor& t : file.tensors()) file.release(t);
  for (std::size_t i = 0; i < writer.tensors.size(); ++i)
    EXPECT_EQ(std::memcmp(file.tensors()[i].data, writer.tensors[i].data.data(), file.tensors()[i].bytes), 0);
}

struct Expected {
  const char* name;
  int dim, query_heads, kv_heads, context;
  bool tied;
  RopeScaling scaling;
};
class ReferenceModels : public testing::TestWithParam<Expected> {};

TEST_P(ReferenceModels, Open) {
  const Expected& want = GetParam();
  const ModelFile file = open(kModels + want.name);
  const ModelConfig& c = file.config();
  EXPECT_EQ(file.format(), "safetensors");
  EXPECT_EQ(c.layers, 4);
  EXPECT_EQ(c.dim, want.dim);
  EXPECT_EQ(c.ffn, 160);
  EXPECT_EQ(c.query_heads, want.query_heads);
  EXPECT_EQ(c.kv_heads, want.kv_heads);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.vocab, 320);
  EXPECT_EQ(c.context, want.context);
  EXPECT_EQ(c.tied_embeddings, want.tied);
  EXPECT_EQ(c.rope.scaling, want.scaling);
  EXPECT_FALSE(c.rows_interleaved);
  EXPECT_THAT(c.eos, ElementsAre(2));
  EXPECT_EQ(c.bos, 1);
  EXPECT_EQ(file.tokenizer(), nullptr);
  EXPECT_EQ(file.find(TensorRole::output) == nullptr, want.tied);
  for (int layer = 0; layer < c.layers; ++layer) {
    const Tensor* k = file.find(TensorRole::attn_k, layer);
    ASSERT_TRUE(k);
    EXPECT_EQ(k->name, fmt::format("model.layers.{}.self_attn.k_proj.weight", layer));
    EXPECT_EQ(k->dtype, DType::bf16);
    EXPECT_EQ(k->rows, want.kv_heads * 16);
    EXPECT_EQ(k->columns, want.dim);
  }
}

TEST_P(ReferenceModels, ReferenceOutputsRead) {
  const test::Reference reference = test::read_reference(kModels + GetParam().name + "/reference.safetensors");
  EXPECT_EQ(reference.input_ids.size(), 80u);
  EXPECT_EQ(reference.greedy_ids.size(), 16u);
  EXPECT_EQ(reference.logits.size(), 80u * 320u);
  EXPECT_EQ(reference.entropy.size(), static_cast<std::size_t>(4 * GetParam().query_heads * 80));
  EXPECT_EQ(reference.first_token_mass.size(), reference.entropy.size());
  EXPECT_EQ(reference.hidden_norm.size(), 5u * 80u);
  const auto last = reference.logits.end() - 320;
  EXPECT_EQ(std::max_element(last, reference.logits.end()) - last, reference.greedy_ids[0]);
}

INSTANTIATE_TEST_SUITE_P(Llama, ReferenceModels,
                         testing::Values(Expected{"llama", 96, 6, 2, 4096, false, RopeScaling::none},
                                         Expected{"llama-odd-heads", 144, 9, 3, 4096, true, RopeScaling::none},
                                         Expected{"llama31-rope", 96, 6, 2, 4096, false, RopeScaling::llama3},
                                         Expected{"llama-yarn", 96, 6, 2, 256, false, RopeScaling::yarn}),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// A safetensors file of some of another's tensors.
std::string container(std::span<const SafeTensor> tensors) {
  std::string header, data;
  for (const SafeTensor& t : tensors) {
    const std::string shape = t.shape.size() == 1 ? fmt::format("{}", t.shape[0]) : fmt::format("{},{}", t.shape[0], t.shape[1]);
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", header.empty() ? "{" : ",", t.name, t.dtype,
                          shape, data.size(), data.size() + t.data.size());
    data.append(reinterpret_cast<const char*>(t.data.data()), t.data.size());
  }
  header += "}";
  return test::le(std::uint64_t{header.size()}) + header + data;
}

// The llama model in two files with an index.
class SeveralFiles : public testing::Test {
 protected:
  SeveralFiles() {
    const SafetensorsFile file = *SafetensorsFile::parse(std::as_bytes(std::span(whole_)));
    const std::size_t half = file.tensors.size() / 2;
    folder_.write("part-1.safetensors", container(std::span(file.tensors).first(half)));
    folder_.write("part-2.safetensors", container(std::span(file.tensors).subspan(half)));
    second_with_extra_ = container(std::span(file.tensors).subspan(half - 1));
    std::string index;
    for (std::size_t i = 0; i < file.tensors.size(); ++i)
      index += fmt::format(R"({}"{}":"part-{}.safetensors")", i == 0 ? R"({"weight_map":{)" : ",", file.tensors[i].name, i < half ? 1 : 2);
    folder_.write("model.safetensors.index.json", index + "}}");
    folder_.write("config.json", test::read_file(kModels + "llama/config.json"));
  }
  const std::string whole_ = test::read_file(kModels + "llama/model.safetensors");
  std::string second_with_extra_;
  const TemporaryFolder folder_;
};

TEST_F(SeveralFiles, HoldTheSameModel) {
  const ModelFile parts = open(folder_.path()), whole = open(kModels + "llama");
  for (int layer = 0; layer < 4; ++layer) {
    const Tensor *a = parts.find(TensorRole::ffn_down, layer), *b = whole.find(TensorRole::ffn_down, layer);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(std::memcmp(a->data, b->data, b->bytes), 0);
  }
  EXPECT_NE(parts.fingerprint(), whole.fingerprint());
}

TEST_F(SeveralFiles, OneMissing) {
  std::filesystem::remove(folder_.path("part-2.safetensors"));
  const auto file = ModelFile::open(folder_.path());
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::not_found);
  EXPECT_THAT(file.error().message, HasSubstr("part-2.safetensors: No such file"));
}

TEST_F(SeveralFiles, OneTensorInTwo) {
  folder_.write("part-2.safetensors", second_with_extra_);
  EXPECT_THAT(error_of(folder_.path()), HasSubstr("is there twice"));
}

TEST(ModelFolder, OneGgufFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of(folder.path()), HasSubstr("no .gguf and no .safetensors file in this folder"));
  folder.write("a.gguf", test::small_llama().bytes());
  EXPECT_EQ(open(folder.path()).format(), "GGUF v3");
  folder.write("b.gguf", test::small_llama().bytes());
  EXPECT_THAT(error_of(folder.path()), HasSubstr("2 models in this folder; name one of its files"));
}

TEST(ModelFolder, SafetensorsNeedTheirConfiguration) {
  const TemporaryFolder folder;
  const std::string weights = folder.write("model.safetensors", test::read_file(kModels + "llama/model.safetensors"));
  EXPECT_THAT(error_of(weights), HasSubstr("no config.json beside the weights"));
  std::string config = test::read_file(kModels + "llama/config.json");
  folder.write("config.json", config);
  EXPECT_EQ(open(weights).config().dim, 96);
  EXPECT_EQ(open(weights).fingerprint(), open(folder.path()).fingerprint());
  config.replace(config.find("\"hidden_size\": 96"), 17, "\"hidden_size\": 48");
  folder.write("config.json", config);
  EXPECT_THAT(error_of(folder.path()), HasSubstr("rows of 96, not 320 of 48"));
}

TEST(ModelFolder, TiedModelsMayCarryACopyOfTheHead) {
  const TemporaryFolder folder;
  folder.write("model.safetensors", test::read_file(kModels + "llama/model.safetensors"));
  std::string config = test::read_file(kModels + "llama/config.json");
  config.replace(config.find("\"tie_word_embeddings\": false"), 28, "\"tie_word_embeddings\": true");
  folder.write("config.json", config);
  EXPECT_EQ(open(folder.path()).find(TensorRole::output), nullptr);
}

TEST(ModelFolder, Tokenizer) {
  const TemporaryFolder folder;
  for (const char* name : {"model.safetensors", "config.json"}) folder.write(name, test::read_file(kModels + "llama/" + name));
  folder.write("tokenizer.json",
               R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]},"decoder":{"type":"ByteLevel"},
    "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"added_tokens":[{"id":3,"content":"<end>","special":true}]})");
  folder.write("tokenizer_config.json", R"({"eos_token":"<end>","chat_template":"old"})");
  folder.write("chat_template.jinja", "new");
  const ModelFile file = open(folder.path());
  ASSERT_TRUE(file.tokenizer());
  EXPECT_THAT(file.tokenizer()->tokens, ElementsAre("a", "b", "ab", "<end>"));
  EXPECT_EQ(file.tokenizer()->pre_tokenizer, "gpt-2");
  EXPECT_EQ(file.tokenizer()->chat_template, "new");
  EXPECT_THAT(file.config().eos, ElementsAre(2, 3));  // config.json's and the tokenizer's

  folder.write("tokenizer.json", test::read_file(SHARDLINE_TEST_DATA "/text/smollm.tokenizer.json"));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokens, but the model knows 320"));
  folder.write("tokenizer.json", "{}");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.json"));
}

TEST(ModelFile, Missing) {
  const auto file = ModelFile::open("/no/such/model.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::not_found);
  EXPECT_EQ(file.error().message, "/no/such/model.gguf: No such file or directory");
}

TEST(ModelFile, NeitherFormat) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of(folder.write("empty.gguf", "")), HasSubstr("header at offset 0: does not begin with GGUF"));
  EXPECT_THAT(error_of(folder.write("model.bin", "\x80\x02pickle")), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(error_of("/dev/null"), HasSubstr("not a regular file"));
}

TEST(ModelFile, FingerprintTellsFilesApart) {
  const TemporaryFolder folder;
  test::GgufWriter writer = test::small_llama();
  const auto fingerprint = [&](const char* name) { return open(folder.write(name, writer.bytes())).fingerprint(); };
  const std::uint64_t first = fingerprint("a.gguf");
  EXPECT_EQ(fingerprint("b.gguf"), first);
  writer.set("llama.rope.freq_base", 20000.0f);
  const std::uint64_t other_key = fingerprint("c.gguf");
  EXPECT_NE(other_key, first);
  writer.tensors.back().data += std::string(32, '\0');
  EXPECT_NE(fingerprint("d.gguf"), other_key);
}

}  // namespace
}  // namespace shardline
