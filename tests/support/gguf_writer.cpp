#include "tests/support/gguf_writer.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "engine/base/half.h"

namespace shardline::test {
namespace {

template <class Items>
auto& find(Items& items, const std::string& name) {
  const auto it = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.name == name; });
  if (it == items.end()) throw std::runtime_error("no " + name);
  return *it;
}

std::uint32_t gguf_number(DType type) {
  switch (type) {
    case DType::f32: return 0;
    case DType::f16: return 1;
    case DType::q4_0: return 2;
    case DType::q4_1: return 3;
    case DType::q8_0: return 8;
    case DType::q4_k: return 12;
    case DType::q5_k: return 13;
    case DType::q6_k: return 14;
    case DType::bf16: return 30;
  }
  return 0;
}

// Blocks of small numbers: scales around 2^-6, anything for the rest.
std::string arbitrary_data(DType type, std::size_t values, std::mt19937& random) {
  const DTypeInfo info = dtype_info(type);
  std::uniform_real_distribution<float> small(-0.02f, 0.02f);
  std::string out;
  for (std::size_t block = 0; block < values / static_cast<std::size_t>(info.block_values); ++block) {
    const auto bytes = [&](int count) {
      for (int i = 0; i < count; ++i) out += static_cast<char>(random());
    };
    const auto scale = [&](float factor) { out += le(f32_to_f16(small(random) * factor)); };
    switch (type) {
      case DType::f32: out += le(small(random)); break;
      case DType::bf16: out += le(f32_to_bf16(small(random))); break;
      case DType::q6_k: bytes(208), scale(0.02f); break;  // the scale comes last
      case DType::q4_k:
      case DType::q5_k: scale(0.02f), scale(0.02f); break;
      case DType::q4_1: scale(1), scale(1); break;
      default: scale(1);
    }
    while (out.size() % info.block_bytes != 0) out += static_cast<char>(random());
  }
  return out;
}

}  // namespace

std::string counted(std::string_view text) { return le(std::uint64_t{text.size()}).append(text); }

void GgufWriter::set_raw(const std::string& key, std::string value) {
  const auto it = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == key; });
  if (it != keys.end())
    it->value = std::move(value);
  else
    keys.push_back({key, std::move(value)});
}

void GgufWriter::set(const std::string& key, std::uint32_t value) { set_raw(key, le(4) + le(value)); }
void GgufWriter::set(const std::string& key, float value) { set_raw(key, le(6) + le(value)); }
void GgufWriter::set(const std::string& key, bool value) { set_raw(key, le(7) + (value ? '\1' : '\0')); }
void GgufWriter::set(const std::string& key, const char* value) { set_raw(key, le(8) + counted(value)); }

void GgufWriter::set(const std::string& key, const std::vector<std::string>& values) {
  std::string raw = le(9) + le(8) + le(std::uint64_t{values.size()});
  for (const std::string& value : values) raw += counted(value);
  set_raw(key, raw);
}

void GgufWriter::set(const std::string& key, const std::vector<std::int32_t>& values) {
  std::string raw = le(9) + le(5) + le(std::uint64_t{values.size()});
  for (const std::int32_t value : values) raw += le(value);
  set_raw(key, raw);
}

void GgufWriter::erase(const std::string& key) {
  std::erase_if(keys, [&](const Key& k) { return k.name == key; });
}
void GgufWriter::erase_tensor(const std::string& name) {
  std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
}

GgufWriter::Key& GgufWriter::key(const std::string& name) { return find(keys, name); }
GgufWriter::Tensor& GgufWriter::tensor(const std::string& name) { return find(tensors, name); }

void GgufWriter::add(const std::string& name, DType type, std::vector<std::uint64_t> dimensions) {
  std::mt19937 random(static_cast<unsigned>(tensors.size()));
  std::size_t values = 1;
  for (const std::uint64_t d : dimensions) values *= d;
  tensors.push_back({name, std::move(dimensions), gguf_number(type), arbitrary_data(type, values, random)});
}

std::string GgufWriter::bytes() const {
  std::string out = magic + le(version) + le(tensor_count.value_or(tensors.size())) + le(key_count.value_or(keys.size()));
  for (const Key& key : keys) out += counted(key.name) + key.value;
  std::string data;
  for (const Tensor& t : tensors) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    out += counted(t.name) + le(t.dimension_count.value_or(static_cast<std::uint32_t>(t.dimensions.size())));
    for (const std::uint64_t d : t.dimensions) out += le(d);
    out += le(t.type) + le(t.offset.value_or(data.size()));
    data += t.data;
  }
  out.resize((out.size() + alignment - 1) / alignment * alignment);
  return out + data;
}

GgufWriter small_llama() {
  GgufWriter w;
  w.set("general.architecture", "llama");
  w.set("general.name", "small");
  w.set("llama.block_count", 2);
  w.set("llama.context_length", 128);
  w.set("llama.embedding_length", 32);
  w.set("llama.feed_forward_length", 64);
  w.set("llama.attention.head_count", 4);
  w.set("llama.attention.head_count_kv", 2);
  w.set("llama.attention.key_length", 16);
  w.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  w.set("llama.vocab_size", 8);
  w.set("tokenizer.ggml.model", "gpt2");
  w.set("tokenizer.ggml.pre", "smollm");
  w.set("tokenizer.ggml.tokens", std::vector<std::string>{"<eos>", "<bos>", "a", "b", "c", "ab", "abc", "<tool>"});
  w.set("tokenizer.ggml.token_type", std::vector<std::int32_t>{3, 3, 1, 1, 1, 1, 1, 4});
  w.set("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab c"});
  w.set("tokenizer.ggml.bos_token_id", 1);
  w.set("tokenizer.ggml.eos_token_id", 0);
  w.set("tokenizer.ggml.add_bos_token", true);
  w.set("tokenizer.chat_template", "{{ messages }}");
  w.add("token_embd.weight", DType::q8_0, {32, 8});
  w.add("output_norm.weight", DType::f32, {32});
  w.add("output.weight", DType::f16, {32, 8});
  for (const std::string layer : {"blk.0.", "blk.1."}) {
    w.add(layer + "attn_norm.weight", DType::f32, {32});
    w.add(layer + "attn_q.weight", DType::q4_1, {32, 64});
    w.add(layer + "attn_k.weight", DType::q4_0, {32, 32});
    w.add(layer + "attn_v.weight", DType::bf16, {32, 32});
    w.add(layer + "attn_output.weight", DType::q4_1, {64, 32});
    w.add(layer + "ffn_norm.weight", DType::f32, {32});
    w.add(layer + "ffn_gate.weight", DType::q4_1, {32, 64});
    w.add(layer + "ffn_up.weight", DType::q8_0, {32, 64});
    w.add(layer + "ffn_down.weight", DType::q4_0, {64, 32});
  }
  return w;
}

GgufWriter k_quant_llama() {
  GgufWriter w;
  w.set("general.architecture", "llama");
  w.set("llama.block_count", 3);
  w.set("llama.context_length", 512);
  w.set("llama.embedding_length", 256);
  w.set("llama.feed_forward_length", 768);
  w.set("llama.attention.head_count", 8);
  w.set("llama.attention.head_count_kv", 2);
  w.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  w.set("llama.vocab_size", 64);
  w.add("token_embd.weight", DType::q6_k, {256, 64});
  w.add("output_norm.weight", DType::f32, {256});
  w.add("output.weight", DType::q5_k, {256, 64});
  for (const std::string layer : {"blk.0.", "blk.1.", "blk.2."}) {
    w.add(layer + "attn_norm.weight", DType::f32, {256});
    w.add(layer + "attn_q.weight", DType::q4_k, {256, 256});
    w.add(layer + "attn_k.weight", DType::q5_k, {256, 64});
    w.add(layer + "attn_v.weight", DType::q6_k, {256, 64});
    w.add(layer + "attn_output.weight", DType::q6_k, {256, 256});
    w.add(layer + "ffn_norm.weight", DType::f32, {256});
    w.add(layer + "ffn_gate.weight", DType::q4_k, {256, 768});
    w.add(layer + "ffn_up.weight", DType::q5_k, {256, 768});
    w.add(layer + "ffn_down.weight", DType::q4_k, {768, 256});
  }
  return w;
}

}  // namespace shardline::test
