#include "engine/text/jinja/builtins.h"

#include <fmt/core.h>

#include <algorithm>

namespace shardline::jinja {

// Places what the signature names; throws where something is missing, unknown or too much.
Value invoke(Interpreter& in, const Builtin& builtin, Arguments arguments, std::size_t given) {
  if (builtin.signature == "*") return builtin.function(in, arguments);
  std::vector<Value> placed(arguments.values.begin(), arguments.values.begin() + static_cast<std::ptrdiff_t>(given));
  std::size_t used = given, used_named = 0;
  for (std::string_view rest = builtin.signature; !rest.empty();) {
    const std::size_t space = std::min(rest.find(' '), rest.size());
    std::string_view name = rest.substr(0, space);
    rest.remove_prefix(std::min(space + 1, rest.size()));
    const bool optional = name.ends_with('?');
    if (optional) name.remove_suffix(1);
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(), [&](const auto& n) { return n.first == name; });
    if (used < arguments.values.size()) {
      placed.push_back(arguments.values[used++]);
    } else if (named != arguments.named.end()) {
      placed.push_back(named->second);
      ++used_named;
    } else if (optional) {
      placed.emplace_back();
    } else {
      throw TemplateError(fmt::format("'{}' needs an argument '{}'", builtin.name, name));
    }
  }
  if (used < arguments.values.size() || used_named < arguments.named.size()) {
    throw TemplateError(fmt::format("'{}' takes other arguments: ({})", builtin.name, builtin.signature));
  }
  arguments.values = std::move(placed);
  return builtin.function(in, arguments);
}

const Text& text_argument(const Value& value) {
  if (const Text* text = value.if_text()) return *text;
  throw TemplateError(fmt::format("expected a str, not {}", type_name(value)));
}

std::int64_t int_argument(const Value& value, std::int64_t fallback) {
  if (value.is_undefined()) return fallback;
  if (const bool* b = value.if_bool()) return *b ? 1 : 0;
  if (const std::int64_t* i = value.if_int()) return *i;
  throw TemplateError(fmt::format("expected an int, not {}", type_name(value)));
}

bool bool_argument(const Value& value, bool fallback) { return value.is_undefined() ? fallback : truthy(value); }

Text replaced(const Text& text, const Text& from, const Text& to, std::int64_t limit) {
  Text out;
  std::size_t at = 0;
  const auto put = [&](TextView part) {
    if (out.size() + part.size() > kMaxText) throw TemplateError("a text with replacements is too large");
    out += part;
  };
  for (std::int64_t n = 0; limit < 0 || n < limit; ++n) {
    const std::size_t found = text.find(from, at);
    if (found == Text::npos) break;
    put(TextView(text).substr(at, found - at));
    put(to);
    at = found + from.size();
    if (!from.empty()) continue;
    if (at == text.size()) return out;  // an empty pattern is found between all characters
    put(TextView(text).substr(at++, 1));
  }
  put(TextView(text).substr(at));
  return out;
}

Text joined(Interpreter& in, const std::vector<Value>& items, const Text& separator) {
  Text out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += separator;
    out += in.string_of(items[i]);
    if (out.size() > kMaxText) throw TemplateError("a joined text is too large");
  }
  return out;
}

Text cased(const Text& text, char32_t (*first)(char32_t), char32_t (*rest)(char32_t)) {
  Text out = text;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = (i == 0 ? first : rest)(out[i]);
  return out;
}

}  // namespace shardline::jinja
