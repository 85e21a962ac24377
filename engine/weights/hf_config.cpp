#include "engine/weights/hf_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string>

#include "engine/model/architecture.h"
#include "engine/weights/config_reader.h"

namespace shardline {
namespace {

namespace json = boost::json;

// The value at a path such as "rope_parameters.factor"; null counts as absent.
const json::value* find(const json::value& root, std::string_view path) {
  const json::value* value = &root;
  while (value && !path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    value = value->is_object() ? value->get_object().if_contains(path.substr(0, dot)) : nullptr;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value && !value->is_null() ? value : nullptr;
}

Result<Scalar> scalar(const json::value& root, std::string_view path) {
  const json::value* value = find(root, path);
  if (!value) return Scalar{};
  switch (value->kind()) {
    case json::kind::bool_: return Scalar{value->get_bool()};
    case json::kind::int64: return Scalar{value->get_int64()};
    case json::kind::double_: return Scalar{value->get_double()};
    case json::kind::string: return Scalar{std::string_view(value->get_string())};
    default: return Error{ErrorCode::bad_model, fmt::format("{}: not a single value, or beyond 63 bits", path), std::string(path)};
  }
}

Result<json::value> parse(std::string_view text, std::string_view file) {
  json::error_code error;
  json::value root = json::parse(text, error);
  if (!error && root.is_object()) return root;
  return Error{ErrorCode::bad_model, fmt::format("{}: {}", file, error ? error.message() : "not an object"), std::string(file)};
}

class HfKeys {
 public:
  explicit HfKeys(const json::value& root) : root_(root), read_([&root](std::string_view key) { return scalar(root, key); }) {}

  Result<ModelConfig> config() {
    const std::string type = read_.text("model_type");
    if (!read_.status()) return read_.status().error();
    const Result<const Architecture*> architecture = find_hf_architecture(type);
    if (!architecture) return architecture.error();
    ModelConfig c;
    c.architecture = (*architecture)->name;
    c.name = read_.text("_name_or_path", "");
    c.layers = read_.integer("num_hidden_layers", 1, kMaxLayers);
    c.dim = read_.integer("hidden_size", 1, kMaxWidth);
    c.ffn = read_.integer("intermediate_size", 1, kMaxWidth);
    c.vocab = read_.integer("vocab_size", 1, kMaxVocab);
    c.context = read_.integer("max_position_embeddings", 1, kMaxContext, 2048);
    c.query_heads = read_.integer("num_attention_heads", 1, kMaxHeads);
    c.kv_heads = read_.integer("num_key_value_heads", 1, c.query_heads, c.query_heads);
    c.head_dim = read_.integer("head_dim", 2, kMaxHeadDim, c.dim / c.query_heads);
    c.norm_epsilon = static_cast<float>(read_.number("rms_norm_eps", 0, 1, 1e-6));
    c.tied_embeddings = read_.flag("tie_word_embeddings", false);
    c.bos = read_.integer("bos_token_id", 0, c.vocab - 1, -1);
    refuse_variants();
    read_rope(c);
    if (!read_.status()) return read_.status().error();
    return c;
  }

 private:
  // Parts that some checkpoints have and the engine does not.
  void refuse_variants() {
    if (const std::string act = read_.text("hidden_act", "silu"); act != "silu")
      read_.fail("hidden_act", fmt::format("'{}' is not supported", act));
    for (const char* key : {"attention_bias", "mlp_bias"}) {
      if (read_.flag(key, false)) read_.fail(key, "not supported");
    }
    if (find(root_, "quantization_config")) read_.fail("quantization_config", "quantised safetensors are not supported");
  }

  // transformers 5 writes one object, rope_parameters; earlier versions rope_theta beside rope_scaling.
  void read_rope(ModelConfig& c) {
    const std::string prefix = find(root_, "rope_parameters") ? "rope_parameters." : "rope_scaling.";
    RopeConfig& rope = c.rope;
    rope.theta = read_.number(prefix + "rope_theta", 2, 1e12, read_.number("rope_theta", 2, 1e12, 10000));
    const double rotated = read_.number(prefix + "partial_rotary_factor", 0, 1, read_.number("partial_rotary_factor", 0, 1, 1));
    rope.dims = static_cast<int>(c.head_dim * rotated);
    const std::string type = read_.text(prefix + "rope_type", read_.text(prefix + "type", "default"));
    if (type == "default") return;
    rope.original_context = read_.integer(prefix + "original_max_position_embeddings", 1, kMaxContext, c.context);
    if (type == "linear") {
      rope.scaling = RopeScaling::linear;
      rope.factor = read_.number(prefix + "factor", 1e-3, 1e6);
    } else if (type == "llama3") {
      rope.scaling = RopeScaling::llama3;
      rope.factor = read_.number(prefix + "factor", 1e-3, 1e6);
      rope.low_freq_factor = read_.number(prefix + "low_freq_factor", 1e-3, 1e6);
      rope.high_freq_factor = read_.number(prefix + "high_freq_factor", 1e-3, 1e6);
    } else if (type == "yarn") {
      read_yarn(prefix, c);
    } else {
      read_.fail(prefix + "rope_type", fmt::format("'{}' is not supported", type));
    }
  }

  void read_yarn(const std::string& prefix, ModelConfig& c) {
    RopeConfig& rope = c.rope;
    rope.scaling = RopeScaling::yarn;
    rope.factor = read_.number(prefix + "factor", 1e-3, 1e6, static_cast<double>(c.context) / rope.original_context);
    rope.beta_fast = read_.number(prefix + "beta_fast", 0, 1e6, 32);
    rope.beta_slow = read_.number(prefix + "beta_slow", 0, 1e6, 1);
    rope.attention_factor = read_.number(prefix + "attention_factor", 0, 1e3, 0);
    if (!read_.flag(prefix + "truncate", true)) read_.fail(prefix + "truncate", "false is not supported");
    const double mscale = read_.number(prefix + "mscale", 0, 1e3, 0), mscale_all_dim = read_.number(prefix + "mscale_all_dim", 0, 1e3, 0);
    if (rope.attention_factor != 0 || mscale == 0 || mscale_all_dim == 0) return;
    const auto magnitude = [&](double scale) { return rope.factor > 1 ? 0.1 * scale * std::log(rope.factor) + 1 : 1; };
    rope.attention_factor = magnitude(mscale) / magnitude(mscale_all_dim);  // DeepSeek's
  }

  const json::value& root_;
  ConfigReader read_;
};

// eos_token_id is a number or a list. Leaves `ids` alone where there is none.
Status read_eos(const json::value& root, int vocab, std::vector<TokenId>& ids) {
  const json::value* value = find(root, "eos_token_id");
  if (!value) return {};
  ids.clear();
  const json::array one{*value};
  for (const json::value& id : value->is_array() ? value->get_array() : one) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= vocab)
      return Error{ErrorCode::bad_model, fmt::format("eos_token_id: not an id in a vocabulary of {}", vocab), "eos_token_id"};
    ids.push_back(static_cast<TokenId>(id.get_int64()));
  }
  return {};
}

}  // namespace

Result<ModelConfig> read_hf_config(std::string_view config_json, std::string_view generation_json) {
  const Result<json::value> root = parse(config_json, "config.json");
  if (!root) return root.error();
  Result<ModelConfig> config = HfKeys(*root).config();
  if (!config) return config.error();
  if (const Status status = read_eos(*root, config->vocab, config->eos); !status) return status.error();
  if (generation_json.empty()) return config;
  const Result<json::value> generation = parse(generation_json, "generation_config.json");
  if (!generation) return generation.error();
  if (const Status status = read_eos(*generation, config->vocab, config->eos); !status) return status.error();
  return config;
}

}  // namespace shardline
