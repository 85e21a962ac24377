#include "engine/weights/gguf_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/model/architecture.h"
#include "engine/weights/dequantize.h"

namespace shardline {
namespace {

constexpr std::size_t kMaxPiece = 65536;  // bytes of one token
constexpr const char* kEosKeys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};

ConfigReader reader_of(const GgufFile& file) {
  return ConfigReader([&file](std::string_view key) { return file.scalar(key); });
}

const GgufTensor* find_tensor(const GgufFile& file, std::string_view name) {
  const auto it = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  return it == file.tensors().end() ? nullptr : &*it;
}

// Reads the keys that begin with the architecture's name.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& file, const Architecture& architecture)
      : file_(file), architecture_(architecture), read_(reader_of(file)) {}

  Result<ModelConfig> config() {
    ModelConfig c;
    c.architecture = architecture_.name;
    c.name = read_.text("general.name", "");
    c.rows_interleaved = architecture_.gguf_rows_interleaved;
    c.layers = read_.integer(key("block_count"), 1, kMaxLayers);
    c.dim = read_.integer(key("embedding_length"), 1, kMaxWidth);
    c.ffn = read_.integer(key("feed_forward_length"), 1, kMaxWidth);
    c.context = read_.integer(key("context_length"), 1, kMaxContext);
    c.query_heads = read_.integer(key("attention.head_count"), 1, kMaxHeads);
    c.kv_heads = read_.integer(key("attention.head_count_kv"), 1, c.query_heads, c.query_heads);
    c.head_dim = read_.integer(key("attention.key_length"), 2, kMaxHeadDim, c.dim / c.query_heads);
    read_.integer(key("attention.value_length"), c.head_dim, c.head_dim, c.head_dim);
    read_.integer(key("expert_count"), 0, 0, 0);
    c.norm_epsilon = static_cast<float>(read_.number(key("attention.layer_norm_rms_epsilon"), 0, 1));
    read_vocabulary(c);
    read_rope(c);
    if (!read_.status()) return read_.status().error();
    return c;
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_.gguf, name); }

  void read_vocabulary(ModelConfig& c) {
    const GgufTensor* embedding = find_tensor(file_, "token_embd.weight");
    if (!embedding) return read_.fail("token_embd.weight", "missing");
    if (embedding->rows > kMaxVocab) return read_.fail("token_embd.weight", fmt::format("{} rows, at most {}", embedding->rows, kMaxVocab));
    c.vocab = static_cast<int>(embedding->rows);
    c.tied_embeddings = !find_tensor(file_, "output.weight");
    read_.integer(key("vocab_size"), c.vocab, c.vocab, c.vocab);
    c.bos = read_.integer("tokenizer.ggml.bos_token_id", 0, c.vocab - 1, -1);
    for (const char* eos_key : kEosKeys) {
      const TokenId id = read_.integer(eos_key, 0, c.vocab - 1, -1);
      if (id >= 0 && std::ranges::find(c.eos, id) == c.eos.end()) c.eos.push_back(id);
    }
  }

  void read_rope(ModelConfig& c) {
    RopeConfig& rope = c.rope;
    rope.dims = read_.integer(key("rope.dimension_count"), 2, c.head_dim, c.head_dim);
    rope.theta = read_.number(key("rope.freq_base"), 2, 1e12, 10000);
    rope.original_context = read_.integer(key("rope.scaling.original_context_length"), 1, kMaxContext, c.context);
    rope.factor = read_.number(key("rope.scaling.factor"), 0, 1e6, read_.number(key("rope.scale_linear"), 0, 1e6, 1));
    if (rope.factor == 0) rope.factor = 1;
    const std::string type = read_.text(key("rope.scaling.type"), "linear");
    if (type == "yarn")
      rope.scaling = RopeScaling::yarn;
    else if (type == "linear" && rope.factor != 1)
      rope.scaling = RopeScaling::linear;
    else if (type != "linear" && type != "none")
      read_.fail(key("rope.scaling.type"), fmt::format("'{}' is not supported", type));
    read_yarn(rope);
    read_rope_factors(rope);
  }

  void read_yarn(RopeConfig& rope) {
    rope.beta_fast = read_.number(key("rope.scaling.yarn_beta_fast"), 0, 1e6, 32);
    rope.beta_slow = read_.number(key("rope.scaling.yarn_beta_slow"), 0, 1e6, 1);
    const double magnitude = read_.number(key("rope.scaling.attn_factor"), 1e-3, 1e3, 1);  // on top of YaRN's own
    if (magnitude != 1 && rope.scaling != RopeScaling::yarn) read_.fail(key("rope.scaling.attn_factor"), "supported with yarn only");
    if (magnitude != 1) rope.attention_factor = magnitude * (rope.factor > 1 ? 0.1 * std::log(rope.factor) + 1 : 1);
    for (const char* name : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_log_multiplier"}) {
      if (read_.has(key(name))) read_.fail(key(name), "not supported");
    }
  }

  void read_rope_factors(RopeConfig& rope) {  // Llama 3.1's scaling, worked out by the converter
    const GgufTensor* tensor = find_tensor(file_, "rope_freqs.weight");
    if (!tensor) return;
    if (tensor->rows != 1 || tensor->columns > kMaxHeadDim)
      return read_.fail("rope_freqs.weight", fmt::format("{} rows of {}", tensor->rows, tensor->columns));
    rope.factors.resize(static_cast<std::size_t>(tensor->columns));
    dequantize_row(tensor->dtype, file_.data(*tensor).data(), rope.factors);
  }

  const GgufFile& file_;
  const Architecture& architecture_;
  ConfigReader read_;
};

// An array of one type, or nullptr. Errors are left with the reader.
const GgufValue* find_array(const GgufFile& file, ConfigReader& read, std::string_view key, GgufType type) {
  const GgufValue* value = file.find(key);
  if (!value || (value->is_array && value->type == type)) return value;
  read.fail(key, type == GgufType::string ? "not an array of strings" : "not an array of 32-bit integers");
  return nullptr;
}

void read_tokens(const GgufFile& file, ConfigReader& read, TokenizerSpec& spec) {
  const GgufValue* tokens = find_array(file, read, "tokenizer.ggml.tokens", GgufType::string);
  if (!tokens) return read.fail("tokenizer.ggml.tokens", "missing");
  if (tokens->count < 1 || tokens->count > kMaxVocab)
    return read.fail("tokenizer.ggml.tokens", fmt::format("{} tokens, not 1 to {}", tokens->count, kMaxVocab));
  spec.tokens.reserve(tokens->count);
  tokens->each_string([&](std::string_view token) {
    if (token.size() > kMaxPiece)
      read.fail("tokenizer.ggml.tokens", fmt::format("token {} has {} bytes", spec.tokens.size(), token.size()));
    else
      spec.tokens.emplace_back(token);
  });
}

void read_kinds(const GgufFile& file, ConfigReader& read, TokenizerSpec& spec) {
  constexpr TokenKind kKinds[] = {TokenKind::normal,  TokenKind::normal,       TokenKind::control,  // undefined, normal, unknown
                                  TokenKind::control, TokenKind::user_defined, TokenKind::unused,  TokenKind::byte};
  spec.kinds.assign(spec.tokens.size(), TokenKind::normal);
  const GgufValue* types = find_array(file, read, "tokenizer.ggml.token_type", GgufType::i32);
  if (!types) return;
  if (types->count != spec.tokens.size())
    return read.fail("tokenizer.ggml.token_type", fmt::format("{} types of {} tokens", types->count, spec.tokens.size()));
  for (std::size_t i = 0; i < spec.kinds.size(); ++i) {
    const auto type = std::get<std::int64_t>(types->scalar(i));
    if (type < 0 || type >= std::ssize(kKinds)) return read.fail("tokenizer.ggml.token_type", fmt::format("token {} has type {}", i, type));
    spec.kinds[i] = kKinds[type];
  }
}

void read_merges(const GgufFile& file, ConfigReader& read, TokenizerSpec& spec) {
  const GgufValue* merges = find_array(file, read, "tokenizer.ggml.merges", GgufType::string);
  if (!merges) return;
  if (merges->count > 4 * std::uint64_t{kMaxVocab}) return read.fail("tokenizer.ggml.merges", fmt::format("{} merges", merges->count));
  spec.merges.reserve(merges->count);
  merges->each_string([&](std::string_view merge) {
    if (merge.size() > 2 * kMaxPiece)
      read.fail("tokenizer.ggml.merges", fmt::format("merge {} has {} bytes", spec.merges.size(), merge.size()));
    else
      spec.merges.emplace_back(merge);
  });
}

}  // namespace

Result<ModelConfig> read_gguf_config(const GgufFile& file) {
  ConfigReader read = reader_of(file);
  const std::string name = read.text("general.architecture");
  read.integer("split.count", 0, 1, 0);  // one of several files
  if (!read.status()) return read.status().error();
  const Result<const Architecture*> architecture = find_gguf_architecture(name);
  if (!architecture) return architecture.error();
  return ArchitectureKeys(file, **architecture).config();
}

Result<std::optional<TokenizerSpec>> read_gguf_tokenizer(const GgufFile& file) {
  ConfigReader read = reader_of(file);
  TokenizerSpec spec;
  spec.model = read.text("tokenizer.ggml.model", "none");
  if (read.status().ok() && (spec.model == "none" || spec.model == "no_vocab")) return std::optional<TokenizerSpec>();
  spec.pre_tokenizer = read.text("tokenizer.ggml.pre", "default");
  if (spec.pre_tokenizer == "llama3" || spec.pre_tokenizer == "llama-v3") spec.pre_tokenizer = "llama-bpe";
  spec.ignore_merges = spec.pre_tokenizer == "llama-bpe";
  read_tokens(file, read, spec);
  read_kinds(file, read, spec);
  read_merges(file, read, spec);
  const int last = std::max(static_cast<int>(spec.tokens.size()) - 1, 0);
  spec.bos = read.integer("tokenizer.ggml.bos_token_id", 0, last, -1);
  spec.eos = read.integer("tokenizer.ggml.eos_token_id", 0, last, -1);
  spec.unknown = read.integer("tokenizer.ggml.unknown_token_id", 0, last, -1);
  spec.pad = read.integer("tokenizer.ggml.padding_token_id", 0, last, -1);
  spec.add_bos = read.flag("tokenizer.ggml.add_bos_token", spec.pre_tokenizer == "llama-bpe") && spec.bos >= 0;
  spec.chat_template = read.text("tokenizer.chat_template", "");
  if (!read.status()) return read.status().error();
  return std::optional(std::move(spec));
}

}  // namespace shardline
