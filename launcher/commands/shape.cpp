#include "launcher/commands/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "engine/model/architecture.h"

namespace shardline::launcher {
namespace {

struct NamedShape {
  std::string_view name, numbers;
};
constexpr NamedShape kShapes[] = {
    {"tiny", "layers=2,dim=256,ffn=512,heads=4,kv-heads=2"},
    {"smollm2-135m", "layers=30,dim=576,ffn=1536,heads=9,kv-heads=3"},
    {"1b", "layers=16,dim=2048,ffn=8192,heads=32,kv-heads=8"},
};

struct Number {
  std::string_view name;
  int ModelConfig::*place;
  int multiple, most;
};
constexpr Number kNumbers[] = {
    {"layers", &ModelConfig::layers, 1, kMaxLayers},    {"dim", &ModelConfig::dim, 32, kMaxWidth},
    {"ffn", &ModelConfig::ffn, 32, kMaxWidth},          {"heads", &ModelConfig::query_heads, 1, kMaxHeads},
    {"kv-heads", &ModelConfig::kv_heads, 1, kMaxHeads}, {"head-dim", &ModelConfig::head_dim, 2, kMaxHeadDim},
    {"context", &ModelConfig::context, 1, kMaxContext},
};

Error wrong(std::string message) { return {ErrorCode::usage, std::move(message), "--shape"}; }

Status set_number(ModelConfig& shape, std::string_view part) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals), text = part.substr(std::min(part.size(), equals + 1));
  const auto* number = std::ranges::find(kNumbers, name, &Number::name);
  if (equals == std::string_view::npos || number == std::end(kNumbers))
    return wrong(
        fmt::format("'{}' is none of the names tiny, smollm2-135m, 1b, nor layers=, dim=, ffn=, heads=, kv-heads=, head-dim= or "
                    "context= with a number",
                    part));
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < number->multiple || value > number->most ||
      value % number->multiple != 0)
    return wrong(fmt::format("{}={}: must be {} to {}{}", name, text, number->multiple, number->most,
                             number->multiple > 1 ? fmt::format(" and a multiple of {}", number->multiple) : ""));
  shape.*number->place = value;
  return {};
}

Status set_numbers(ModelConfig& shape, const std::string& text) {
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');)
    if (Status done = set_number(shape, part); !done) return done;
  return {};
}

}  // namespace

Result<ModelConfig> parse_shape(const std::string& text) {
  ModelConfig shape;
  shape.architecture = "llama";
  shape.name = "random " + text;
  shape.tied_embeddings = true;
  shape.context = 8192;
  const std::string first = text.substr(0, text.find(','));
  std::string numbers = text;
  if (const auto* named = std::ranges::find(kShapes, first, &NamedShape::name); named != std::end(kShapes)) {
    if (Status done = set_numbers(shape, std::string(named->numbers)); !done) return done.error();
    numbers = text.substr(std::min(text.size(), first.size() + 1));
  }
  if (Status done = set_numbers(shape, numbers); !done) return done.error();
  if (!shape.layers || !shape.dim || !shape.ffn || !shape.query_heads) return wrong("layers, dim, ffn and heads are needed");
  if (!shape.kv_heads) shape.kv_heads = shape.query_heads;
  if (!shape.head_dim) shape.head_dim = shape.dim / shape.query_heads;
  shape.rope.dims = shape.head_dim;
  if (Status fits = check_config(shape); !fits) return wrong(fits.error().message);
  if (extent(shape, Extent::query) % 32 != 0)
    return wrong(fmt::format("{} query heads of {}: their product must be a multiple of 32", shape.query_heads, shape.head_dim));
  return shape;
}

}  // namespace shardline::launcher
