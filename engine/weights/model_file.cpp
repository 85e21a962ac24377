#include "engine/weights/model_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "engine/model/architecture.h"
#include "engine/text/tokenizer_json.h"
#include "engine/weights/gguf_config.h"
#include "engine/weights/gguf_reader.h"
#include "engine/weights/hf_config.h"
#include "engine/weights/mapped_file.h"
#include "engine/weights/safetensors_reader.h"

namespace shardline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxJson = 256 << 20;  // bytes of a file beside the weights
constexpr std::string_view kIndex = "model.safetensors.index.json";

// Where the weights are.
struct Source {
  fs::path folder;
  std::vector<std::string> files;
  bool gguf = false;
};

Error at(const std::string& file, Error error) {
  error.message = fmt::format("{}: {}", file, error.message);
  return error;
}

// A file that may be missing.
Result<std::optional<MappedFile>> open_beside(const fs::path& path) {
  Result<MappedFile> file = MappedFile::open(path.string());
  if (!file && file.error().code == ErrorCode::not_found) return std::optional<MappedFile>();
  if (!file) return at(path.filename(), file.error());
  if (const std::size_t size = file->bytes().size(); size > kMaxJson)
    return Error{ErrorCode::bad_model, fmt::format("{}: {} bytes, at most {}", path.filename().string(), size, kMaxJson), ""};
  return std::optional(std::move(*file));
}

std::string_view text_of(const Result<std::optional<MappedFile>>& file) { return file.value() ? file.value()->text() : std::string_view(); }

Result<Source> locate_in_folder(const fs::path& folder) {
  Source source{folder, {}, false};
  const auto index = open_beside(folder / kIndex);
  if (!index) return index.error();
  if (index.value()) {
    auto files = read_safetensors_index(text_of(index));
    if (!files) return at((folder / kIndex).string(), files.error());
    source.files = std::move(*files);
    return source;
  }
  std::error_code error;
  std::vector<std::string> gguf, safetensors;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".gguf") gguf.push_back(it->path().filename());
    if (it->path().extension() == ".safetensors") safetensors.push_back(it->path().filename());
  }
  if (error) return Error{ErrorCode::io, fmt::format("{}: {}", folder.string(), error.message()), ""};
  if (std::ranges::find(safetensors, "model.safetensors") != safetensors.end()) safetensors = {"model.safetensors"};
  source.gguf = safetensors.empty();
  source.files = source.gguf ? gguf : safetensors;
  if (source.files.empty())
    return Error{ErrorCode::not_found, fmt::format("{}: no .gguf and no .safetensors file in this folder", folder.string()), ""};
  if (source.files.size() > 1)
    return Error{ErrorCode::bad_model,
                 fmt::format("{}: {} models in this folder; name one of its files", folder.string(), source.files.size()), ""};
  return source;
}

Result<Source> locate(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return locate_in_folder(path);
  const fs::path file(path);
  return Source{file.parent_path(), {file.filename()}, file.extension() != ".safetensors"};
}

// A hash of what decides how a file is read: not secret, and not proof against intent.
std::uint64_t hashed(std::uint64_t hash, std::span<const std::byte> bytes) {
  const auto mix = [&](std::uint64_t word) {
    const auto product = static_cast<unsigned __int128>(hash ^ word) * 0x9E3779B97F4A7C15u;
    hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ 0xD1B54A32D192ED03u;
  };
  mix(bytes.size());
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(8, bytes.size()))) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min<std::size_t>(8, bytes.size()));
    mix(word);
  }
  return hash;
}

Result<Tensor> view_of(const SafeTensor& t) {
  const auto bad = [&](std::string message) {
    return Error{ErrorCode::bad_model, fmt::format("tensor '{}': {}", t.name, message), t.name};
  };
  Tensor out{t.name, DType::f32, 1, 1, t.data.data(), t.data.size()};
  if (t.dtype == "F16")
    out.dtype = DType::f16;
  else if (t.dtype == "BF16")
    out.dtype = DType::bf16;
  else if (t.dtype != "F32")
    return bad(fmt::format("dtype {} is not supported", t.dtype));
  if (t.data.empty()) return bad("has no values");
  if (!t.shape.empty()) out.columns = t.shape.back();
  for (std::size_t i = 0; i + 1 < t.shape.size(); ++i) out.rows *= t.shape[i];  // fits: the bytes are in the file
  return out;
}

// Whether a name is the pattern with a number for "{}".
bool matches(std::string_view name, std::string_view pattern) {
  const std::size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return name == pattern;
  const std::string_view before = pattern.substr(0, hole), after = pattern.substr(hole + 2);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) return false;
  const std::string_view number = name.substr(hole, name.size() - before.size() - after.size());
  return number.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

struct ModelFile::Impl {
  std::vector<MappedFile> maps;
  ModelConfig config;
  std::vector<Tensor> tensors;
  std::map<std::pair<TensorRole, int>, std::size_t> roles;  // of tensors, by role and layer
  std::optional<TokenizerSpec> tokenizer;
  std::string format;
  std::uint64_t fingerprint = 0;

  Result<MappedFile*> map(const fs::path& path) {
    Result<MappedFile> file = MappedFile::open(path.string());
    if (!file) return file.error();
    const std::size_t size = file->bytes().size();
    fingerprint = hashed(fingerprint, std::as_bytes(std::span(&size, 1)));
    maps.push_back(std::move(*file));
    return &maps.back();
  }

  Status open_gguf(const Source& source) {
    const Result<MappedFile*> map_or = map(source.folder / source.files[0]);
    if (!map_or) return map_or.error();
    const std::span<const std::byte> bytes = (*map_or)->bytes();
    const Result<GgufFile> file = GgufFile::parse(bytes);
    if (!file) return file.error();
    fingerprint = hashed(fingerprint, bytes.first(file->header_bytes()));
    format = fmt::format("GGUF v{}", file->version());
    for (const GgufTensor& t : file->tensors())
      tensors.push_back({std::string(t.name), t.dtype, t.rows, t.columns, file->data(t).data(), t.bytes});
    Result<ModelConfig> read = read_gguf_config(*file);
    if (!read) return read.error();
    config = std::move(*read);
    auto spec = read_gguf_tokenizer(*file);
    if (!spec) return spec.error();
    tokenizer = std::move(*spec);
    return {};
  }

  Status open_safetensors(const Source& source) {
    format = "safetensors";
    const auto json = open_beside(source.folder / "config.json"), generation = open_beside(source.folder / "generation_config.json");
    if (!json) return json.error();
    if (!generation) return generation.error();
    if (!json.value()) return Error{ErrorCode::bad_model, "no config.json beside the weights", "config.json"};
    for (const auto& text : {text_of(json), text_of(generation)}) fingerprint = hashed(fingerprint, std::as_bytes(std::span(text)));
    Result<ModelConfig> read = read_hf_config(text_of(json), text_of(generation));
    if (!read) return read.error();
    config = std::move(*read);
    for (const std::string& name : source.files) {
      if (Status status = add_safetensors(source.folder / name); !status) return at(name, status.error());
    }
    return read_tokenizer(source.folder);
  }

  Status add_safetensors(const fs::path& path) {
    const Result<MappedFile*> map_or = map(path);
    if (!map_or) return map_or.error();
    const Result<SafetensorsFile> file = SafetensorsFile::parse((*map_or)->bytes());
    if (!file) return file.error();
    fingerprint = hashed(fingerprint, file->header);
    for (const SafeTensor& t : file->tensors) {
      Result<Tensor> tensor = view_of(t);
      if (!tensor) return tensor.error();
      tensors.push_back(std::move(*tensor));
    }
    return {};
  }

  Status read_tokenizer(const fs::path& folder) {
    const auto json = open_beside(folder / "tokenizer.json"), settings = open_beside(folder / "tokenizer_config.json"),
               chat = open_beside(folder / "chat_template.jinja");
    for (const auto* file : {&json, &settings, &chat}) {
      if (!*file) return file->error();
    }
    if (!json.value()) return {};
    Result<TokenizerSpec> spec = read_tokenizer_json(text_of(json), text_of(settings));
    if (!spec) return spec.error();
    tokenizer = std::move(*spec);
    if (chat.value()) tokenizer->chat_template = text_of(chat);  // newer folders keep it in a file of its own
    return {};
  }

  // Numbers that only the whole file can vouch for.
  Status check() {
    if (tokenizer) {
      if (tokenizer->tokens.size() > static_cast<std::size_t>(config.vocab))
        return Error{ErrorCode::bad_model, fmt::format("{} tokens, but the model knows {}", tokenizer->tokens.size(), config.vocab),
                     "tokenizer"};
      if (config.bos < 0) config.bos = tokenizer->bos;
      if (tokenizer->eos >= 0 && std::ranges::find(config.eos, tokenizer->eos) == config.eos.end()) config.eos.push_back(tokenizer->eos);
    }
    return check_config(config);
  }

  // Gives every tensor its role. A tensor without one would be a part of the model that is left out, so it is an error.
  Status assign_roles(bool gguf) {
    std::map<std::string_view, std::size_t> unclaimed;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!unclaimed.emplace(tensors[i].name, i).second) return bad_tensor(tensors[i].name, "is there twice");
    }
    const Architecture& architecture = architecture_of(config);
    for (const TensorPattern& pattern : architecture.tensors) {
      for (int layer = 0; layer < (pattern.per_layer() ? config.layers : 1); ++layer) {
        const std::string name = tensor_name(gguf ? pattern.gguf : pattern.hf, layer);
        const auto found = unclaimed.extract(name);
        if (pattern.role == TensorRole::output && config.tied_embeddings) continue;  // a copy of the embedding, where it is there
        if (found.empty()) return bad_tensor(name, "missing");
        if (Status status = check_shape(tensors[found.mapped()], pattern); !status) return status;
        roles.emplace(std::pair(pattern.role, pattern.per_layer() ? layer : -1), found.mapped());
      }
    }
    for (const auto& [name, i] : unclaimed) {
      const auto is_name = [&, n = name](std::string_view pattern) { return matches(n, pattern); };
      if (std::ranges::none_of(gguf ? architecture.gguf_ignored : architecture.hf_ignored, is_name))
        return bad_tensor(name, fmt::format("has no place in architecture {}", architecture.name));
    }
    return {};
  }

  Status check_shape(const Tensor& t, const TensorPattern& pattern) const {
    const std::int64_t rows = extent(config, pattern.rows), columns = extent(config, pattern.columns);
    if (t.rows == rows && t.columns == columns) return {};
    return bad_tensor(t.name, fmt::format("{} rows of {}, not {} of {}", t.rows, t.columns, rows, columns));
  }

  static Error bad_tensor(std::string_view name, std::string_view what) {
    return {ErrorCode::bad_model, fmt::format("tensor '{}': {}", name, what), std::string(name)};
  }
};

Result<ModelFile> ModelFile::open(const std::string& path) {
  const Result<Source> source = locate(path);
  if (!source) return source.error();
  auto impl = std::make_unique<Impl>();
  Status status = source->gguf ? impl->open_gguf(*source) : impl->open_safetensors(*source);
  if (status.ok()) status = impl->check();
  if (status.ok()) status = impl->assign_roles(source->gguf);
  if (!status.ok()) return at(path, status.error());
  return ModelFile(std::move(impl));
}

ModelFile::ModelFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ModelFile::ModelFile(ModelFile&&) noexcept = default;
ModelFile& ModelFile::operator=(ModelFile&&) noexcept = default;
ModelFile::~ModelFile() = default;

const ModelConfig& ModelFile::config() const { return impl_->config; }
std::span<const Tensor> ModelFile::tensors() const { return impl_->tensors; }
const TokenizerSpec* ModelFile::tokenizer() const { return impl_->tokenizer ? &*impl_->tokenizer : nullptr; }
std::string ModelFile::format() const { return impl_->format; }
std::uint64_t ModelFile::fingerprint() const { return impl_->fingerprint; }
void ModelFile::release(const Tensor& tensor) const { release_pages({tensor.data, tensor.bytes}); }

const Tensor* ModelFile::find(TensorRole role, int layer) const {
  const auto it = impl_->roles.find({role, layer});
  return it == impl_->roles.end() ? nullptr : &impl_->tensors[it->second];
}

}  // namespace shardline
