// shardline synthesize OUT: a GGUF file (version 3, F16, Llama) of the shape that is asked for, with random weights.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/half.h"
#include "engine/model/architecture.h"
#include "engine/weights/gguf_reader.h"
#include "engine/weights/mapped_file.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/shape.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAlignment = 32;       // of every tensor's data
constexpr std::uint32_t kF32 = 0, kF16 = 1;  // GGUF's numbers of tensor types; kF16 is also its number of such a file

// Bytes of a GGUF header: numbers as they lie in memory, strings after their length.
class Header {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(std::string_view text) {
    number(std::uint64_t{text.size()});
    bytes_.append(text);
  }
  void key(std::string_view name, GgufType type) {
    ++keys_;
    string(name);
    number(type);
  }
  void set(std::string_view name, int value) {
    key(name, GgufType::u32);
    number(static_cast<std::uint32_t>(value));
  }
  void set(std::string_view name, float value) {
    key(name, GgufType::f32);
    number(value);
  }
  void set(std::string_view name, std::string_view value) {
    key(name, GgufType::string);
    string(value);
  }
  void copy(std::string_view name, const GgufValue& value) {
    key(name, value.is_array ? GgufType::array : value.type);
    if (value.is_array) {
      number(value.type);
      number(value.count);
    }
    bytes_.append(reinterpret_cast<const char*>(value.data), value.bytes);
  }
  std::uint64_t keys() const { return keys_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::uint64_t keys_ = 0;
};

struct NewTensor {
  std::string name;
  std::int64_t rows, columns;
  bool vector() const { return rows == 1; }  // norms: float32, all ones
  std::size_t bytes() const { return static_cast<std::size_t>(rows * columns) * (vector() ? 4 : 2); }
  std::size_t padded() const { return round_up(bytes(), kAlignment); }
};

std::vector<NewTensor> tensors_of(const ModelConfig& shape) {
  std::vector<NewTensor> out;
  for (const TensorPattern& pattern : architecture_of(shape).tensors) {
    if (pattern.role == TensorRole::output && shape.tied_embeddings) continue;
    for (int layer = 0; layer < (pattern.per_layer() ? shape.layers : 1); ++layer)
      out.push_back({tensor_name(pattern.gguf, layer), extent(shape, pattern.rows), extent(shape, pattern.columns)});
  }
  return out;
}

std::string header_of(const ModelConfig& shape, const GgufFile& tokenizer, const std::vector<NewTensor>& tensors) {
  Header keys;
  keys.set("general.architecture", std::string_view("llama"));
  keys.set("general.name", shape.name);
  keys.set("general.file_type", static_cast<int>(kF16));
  keys.set("llama.block_count", shape.layers);
  keys.set("llama.context_length", shape.context);
  keys.set("llama.embedding_length", shape.dim);
  keys.set("llama.feed_forward_length", shape.ffn);
  keys.set("llama.attention.head_count", shape.query_heads);
  keys.set("llama.attention.head_count_kv", shape.kv_heads);
  keys.set("llama.attention.key_length", shape.head_dim);
  keys.set("llama.attention.value_length", shape.head_dim);
  keys.set("llama.attention.layer_norm_rms_epsilon", shape.norm_epsilon);
  keys.set("llama.rope.dimension_count", shape.head_dim);
  keys.set("llama.rope.freq_base", static_cast<float>(shape.rope.theta));
  keys.set("llama.vocab_size", shape.vocab);
  for (const auto& [name, value] : tokenizer.values())
    if (name.starts_with("tokenizer.")) keys.copy(name, value);

  Header header;
  header.number(std::array{'G', 'G', 'U', 'F'});
  header.number(std::uint32_t{3});
  header.number(std::uint64_t{tensors.size()});
  header.number(keys.keys());
  std::string out = header.bytes() + keys.bytes();
  Header table;
  std::uint64_t offset = 0;
  for (const NewTensor& t : tensors) {
    table.string(t.name);
    table.number(t.vector() ? std::uint32_t{1} : std::uint32_t{2});
    table.number(t.columns);
    if (!t.vector()) table.number(t.rows);
    table.number(t.vector() ? kF32 : kF16);
    table.number(offset);
    offset += t.padded();
  }
  out += table.bytes();
  out.resize(round_up(out.size(), kAlignment));
  return out;
}

// The 65,536 quantiles of the normal distribution as F16, to be picked by 16 random bits.
std::vector<std::uint16_t> normal_values(double deviation) {
  std::vector<std::uint16_t> out(1 << 16);
  double x = 0;
  for (std::size_t i = 0; i < out.size() / 2; ++i) {  // above the median, each by Newton from the last
    const double tail = 0.5 - (static_cast<double>(i) + 0.5) / static_cast<double>(out.size());
    for (int step = 0; step < 4; ++step)
      x += (0.5 * std::erfc(x / std::sqrt(2)) - tail) * std::sqrt(2 * std::acos(-1)) * std::exp(x * x / 2);
    out[i] = f32_to_f16(static_cast<float>(deviation * x));
    out[i + out.size() / 2] = out[i] ^ 0x8000;
  }
  return out;
}

Status write_data(std::ofstream& file, const std::vector<NewTensor>& tensors, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::size_t total = 0, written = 0;
  for (const NewTensor& t : tensors) total += t.padded();
  Progress progress("writing", 1);
  const auto report = progress.part(0);
  for (const NewTensor& t : tensors) {
    if (t.vector()) {
      std::vector<float> ones(t.padded() / 4);
      std::fill_n(ones.begin(), t.columns, 1.0f);
      file.write(reinterpret_cast<const char*>(ones.data()), static_cast<std::streamsize>(t.padded()));
    } else {  // rows are whole blocks of 32, so there is no padding
      const std::vector<std::uint16_t> values = normal_values(1 / std::sqrt(static_cast<double>(t.columns)));
      std::vector<std::uint16_t> row(static_cast<std::size_t>(t.columns));
      for (std::int64_t r = 0; r < t.rows && file; ++r) {
        for (std::size_t i = 0; i < row.size(); i += 4) {
          const std::uint64_t bits = random();
          for (std::size_t j = 0; j < 4; ++j) row[i + j] = values[bits >> 16 * j & 0xFFFF];
        }
        file.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * 2));
        if (r % 64 == 0) report(static_cast<double>(written + static_cast<std::size_t>(r) * row.size() * 2) / static_cast<double>(total));
      }
    }
    written += t.padded();
  }
  return file.flush() ? Status() : Error{ErrorCode::io, std::strerror(errno), ""};
}

}  // namespace

Status synthesize(const SynthesizeOptions& options) {
  Result<ModelConfig> shape = parse_shape(options.shape);
  if (!shape) return shape.error();
  const auto at = [](const std::string& path, Error error) {
    error.message = fmt::format("{}: {}", path, error.message);
    return error;
  };
  if (fs::exists(options.out) && !options.force)
    return Error{ErrorCode::usage, options.out + " is there already; --force overwrites it", "--force"};
  const Result<MappedFile> source = MappedFile::open(options.tokenizer);
  if (!source) return at(options.tokenizer, source.error());
  const Result<GgufFile> tokenizer = GgufFile::parse(source->bytes());
  if (!tokenizer) return at(options.tokenizer, tokenizer.error());
  const GgufValue* tokens = tokenizer->find("tokenizer.ggml.tokens");
  if (!tokens || !tokens->is_array || tokens->count < 1 || tokens->count > kMaxVocab)
    return at(options.tokenizer, {ErrorCode::bad_model, fmt::format("has no tokenizer of 1 to {} tokens", kMaxVocab), "--tokenizer"});
  shape->vocab = static_cast<int>(tokens->count);

  const std::vector<NewTensor> tensors = tensors_of(*shape);
  const std::string temporary = fmt::format("{}.{}.tmp", options.out, getpid()), header = header_of(*shape, *tokenizer, tensors);
  std::ofstream file(temporary, std::ios::binary);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  Status status = file ? write_data(file, tensors, options.seed) : Error{ErrorCode::io, std::strerror(errno), ""};
  file.close();
  std::error_code error;
  if (status.ok()) fs::rename(temporary, options.out, error);
  if (error) status = Error{ErrorCode::io, error.message(), ""};
  if (!status.ok()) {
    fs::remove(temporary, error);
    return at(options.out, status.error());
  }
  note(fmt::format("{}: {} tensors, {}", options.out, tensors.size(), size_text(fs::file_size(options.out))));
  return {};
}

int run_synthesize(const Options& options) {
  if (const Status done = synthesize(options.synthesize); !done) return fail(done.error());
  return 0;
}

}  // namespace shardline::launcher
