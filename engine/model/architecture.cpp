#include "engine/model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "engine/base/check.h"

namespace shardline {
namespace {

using enum TensorRole;

// Touvron et al. 2023; grouped queries from Llama 2 on.
constexpr TensorPattern kLlamaTensors[] = {
    {token_embedding, Extent::vocab, Extent::dim, "token_embd.weight", "model.embed_tokens.weight"},
    {output_norm, Extent::one, Extent::dim, "output_norm.weight", "model.norm.weight"},
    {output, Extent::vocab, Extent::dim, "output.weight", "lm_head.weight"},
    {attn_norm, Extent::one, Extent::dim, "blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
    {attn_q, Extent::query, Extent::dim, "blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight"},
    {attn_k, Extent::kv, Extent::dim, "blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight"},
    {attn_v, Extent::kv, Extent::dim, "blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
    {attn_output, Extent::dim, Extent::query, "blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
    {ffn_norm, Extent::one, Extent::dim, "blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
    {ffn_gate, Extent::ffn, Extent::dim, "blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
    {ffn_up, Extent::ffn, Extent::dim, "blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
    {ffn_down, Extent::dim, Extent::ffn, "blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
};
constexpr std::string_view kLlamaTypes[] = {"llama"};

// Rotation frequencies: the configuration has them, rope_freqs is read into it.
constexpr std::string_view kGgufRotations[] = {"rope_freqs.weight", "blk.{}.attn_rot_embd"};
constexpr std::string_view kHfRotations[] = {"model.layers.{}.self_attn.rotary_emb.inv_freq"};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", kLlamaTypes, true, kLlamaTensors, kGgufRotations, kHfRotations},
};

template <class Matches>
Result<const Architecture*> find(std::string_view name, std::string_view key, Matches matches) {
  const auto* it = std::ranges::find_if(kArchitectures, matches);
  if (it != std::end(kArchitectures)) return it;
  std::vector<std::string_view> known;
  for (const Architecture& a : kArchitectures) known.push_back(a.name);
  return Error{ErrorCode::bad_model, fmt::format("{}: architecture '{}' is not supported (known: {})", key, name, fmt::join(known, ", ")),
               std::string(key)};
}

Status check_rope(const RopeConfig& rope, int head_dim) {
  const auto bad = [](std::string message) { return Error{ErrorCode::bad_model, "rope: " + std::move(message), "rope"}; };
  if (rope.dims < 2 || rope.dims % 2 != 0 || rope.dims > head_dim)
    return bad(fmt::format("{} rotated dimensions of heads of {}", rope.dims, head_dim));
  const bool trained_shorter = rope.scaling == RopeScaling::llama3 || rope.scaling == RopeScaling::yarn;
  if (trained_shorter && rope.original_context < 1) return bad("no original context length");
  if (rope.scaling == RopeScaling::llama3 && !(rope.low_freq_factor < rope.high_freq_factor))
    return bad(fmt::format("low_freq_factor {} is not below high_freq_factor {}", rope.low_freq_factor, rope.high_freq_factor));
  if (rope.scaling == RopeScaling::yarn && !(rope.beta_slow < rope.beta_fast))
    return bad(fmt::format("beta_slow {} is not below beta_fast {}", rope.beta_slow, rope.beta_fast));
  if (!rope.factors.empty() && rope.factors.size() != static_cast<std::size_t>(rope.dims / 2))
    return bad(fmt::format("{} factors for {} frequencies", rope.factors.size(), rope.dims / 2));
  for (const float factor : rope.factors) {
    if (!(factor > 0) || !std::isfinite(factor)) return bad(fmt::format("a factor of {}", factor));
  }
  return {};
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

Result<const Architecture*> find_gguf_architecture(std::string_view name) {
  return find(name, "general.architecture", [&](const Architecture& a) { return a.gguf == name; });
}

Result<const Architecture*> find_hf_architecture(std::string_view model_type) {
  return find(model_type, "model_type", [&](const Architecture& a) { return std::ranges::find(a.hf, model_type) != a.hf.end(); });
}

const Architecture& architecture_of(const ModelConfig& config) {
  const auto* it = std::ranges::find(kArchitectures, config.architecture, &Architecture::name);
  CHECK(it != std::end(kArchitectures), "architecture '{}'", config.architecture);
  return *it;
}

std::string tensor_name(std::string_view pattern, int layer) { return fmt::format(fmt::runtime(pattern), layer); }

std::int64_t extent(const ModelConfig& config, Extent extent) {
  switch (extent) {
    case Extent::one: return 1;
    case Extent::dim: return config.dim;
    case Extent::ffn: return config.ffn;
    case Extent::vocab: return config.vocab;
    case Extent::query: return std::int64_t{config.query_heads} * config.head_dim;
    case Extent::kv: return std::int64_t{config.kv_heads} * config.head_dim;
  }
  return 0;
}

Status check_config(const ModelConfig& config) {
  const auto bad = [](std::string message, std::string param) { return Error{ErrorCode::bad_model, std::move(message), std::move(param)}; };
  if (config.kv_heads < 1 || config.query_heads % config.kv_heads != 0)
    return bad(fmt::format("{} query heads do not divide among {} KV heads", config.query_heads, config.kv_heads), "kv_heads");
  if (config.head_dim < 2 || config.head_dim % 2 != 0)
    return bad(fmt::format("head dimension {} is not even", config.head_dim), "head_dim");
  const auto is_token = [&](TokenId id) { return id >= 0 && id < config.vocab; };
  for (const TokenId id : config.eos) {
    if (!is_token(id)) return bad(fmt::format("EOS token {} in a vocabulary of {}", id, config.vocab), "eos");
  }
  if (config.bos != -1 && !is_token(config.bos))
    return bad(fmt::format("BOS token {} in a vocabulary of {}", config.bos, config.vocab), "bos");
  return check_rope(config.rope, config.head_dim);
}

}  // namespace shardline
