#include "engine/text/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace shardline::jinja {
namespace {

const Value kUndefined;

std::optional<double> number(const Value& value) {
  if (const auto* b = value.if_bool()) return *b ? 1.0 : 0.0;
  if (const auto* i = value.if_int()) return static_cast<double>(*i);
  if (const auto* f = value.if_float()) return *f;
  return std::nullopt;
}

std::optional<std::int64_t> integer(const Value& value) {
  if (const auto* b = value.if_bool()) return *b ? 1 : 0;
  if (const auto* i = value.if_int()) return *i;
  return std::nullopt;
}

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

const Value& Arguments::operator[](std::size_t i) const { return i < values.size() ? values[i] : kUndefined; }

Value::Value(List list) {
  list.extent = extent_around(list.items);
  variant_ = std::make_shared<const List>(std::move(list));
}

Value::Value(Dict dict) {
  std::vector<Value> parts;
  for (const auto& [key, value] : dict.items) parts.insert(parts.end(), {key, value});
  dict.extent = extent_around(parts);
  variant_ = std::make_shared<const Dict>(std::move(dict));
}

const Value* Dict::find(const Value& key) const {
  const auto it = std::find_if(items.begin(), items.end(), [&](const auto& item) { return equal(item.first, key); });
  return it == items.end() ? nullptr : &it->second;
}

void Dict::set(const Value& key, Value value) {
  const auto it = std::find_if(items.begin(), items.end(), [&](const auto& item) { return equal(item.first, key); });
  if (it == items.end()) {
    items.emplace_back(key, std::move(value));
  } else {
    it->second = std::move(value);
  }
}

std::string type_name(const Value& value) {
  if (const List* list = value.if_list()) return list->tuple ? "tuple" : "list";
  static constexpr const char* kNames[] = {"undefined", "None", "bool",     "int",       "float", "str",
                                           "list",      "dict", "function", "namespace", "loop"};
  return kNames[value.variant().index()];
}

Extent extent_of(const Value& value) {
  if (const auto* text = value.if_text()) return {0, text->size() + 1};
  if (const auto* list = value.if_list()) return list->extent;
  if (const auto* dict = value.if_dict()) return dict->extent;
  if (const auto* callable = value.if_callable()) return callable->extent;
  if (const auto* loop = value.if_loop()) return loop->extent;
  return {};
}

Extent extent_around(std::span<const Value> values) {
  Extent around;
  for (const Value& value : values) {
    const Extent extent = extent_of(value);
    around.depth = std::max(around.depth, extent.depth);
    around.weight += extent.weight;
    if (around.weight > kMaxWeight) throw TemplateError("a value is too large");
  }
  if (++around.depth > kMaxValueDepth) throw TemplateError(fmt::format("values nest more than {} deep", kMaxValueDepth));
  return around;
}

bool truthy(const Value& value) {
  if (const auto n = number(value)) return *n != 0;
  if (const auto* text = value.if_text()) return !text->empty();
  if (const auto* list = value.if_list()) return !list->items.empty();
  if (const auto* dict = value.if_dict()) return !dict->items.empty();
  return !value.is_undefined() && !value.is_none();
}

bool equal(const Value& a, const Value& b) {
  if (const auto m = integer(a), n = integer(b); m && n) return *m == *n;
  if (const auto m = number(a), n = number(b); m && n) return *m == *n;
  if (a.variant().index() != b.variant().index()) return false;
  if (a.if_text()) return *a.if_text() == *b.if_text();
  if (const List* m = a.if_list(), *n = b.if_list(); m)
    return m->tuple == n->tuple && std::equal(m->items.begin(), m->items.end(), n->items.begin(), n->items.end(), equal);
  if (const Dict* m = a.if_dict(), *n = b.if_dict(); m) {
    return m->items.size() == n->items.size() && std::all_of(m->items.begin(), m->items.end(), [&](const auto& item) {
             const Value* other = n->find(item.first);
             return other && equal(item.second, *other);
           });
  }
  return a.variant() == b.variant();  // nothing, or the same object
}

int compare(const Value& a, const Value& b) {
  if (const auto m = integer(a), n = integer(b); m && n) return order(*m, *n);
  if (const auto m = number(a), n = number(b); m && n) return order(*m, *n);
  if (a.if_text() && b.if_text()) return a.if_text()->compare(*b.if_text());
  const List *m = a.if_list(), *n = b.if_list();
  if (!m || !n || m->tuple != n->tuple) throw TemplateError(fmt::format("no order between {} and {}", type_name(a), type_name(b)));
  for (std::size_t i = 0; i < std::min(m->items.size(), n->items.size()); ++i) {
    if (!equal(m->items[i], n->items[i])) return compare(m->items[i], n->items[i]);
  }
  return order(m->items.size(), n->items.size());
}

bool contains(const Value& container, const Value& item) {
  if (const auto* text = container.if_text()) {
    if (!item.if_text()) throw TemplateError(fmt::format("'in <str>' needs a str on the left, not {}", type_name(item)));
    return text->find(*item.if_text()) != Text::npos;
  }
  if (const auto* list = container.if_list()) {
    return std::any_of(list->items.begin(), list->items.end(), [&](const Value& v) { return equal(v, item); });
  }
  if (const auto* dict = container.if_dict()) return dict->find(item) != nullptr;
  if (container.is_undefined()) return false;
  throw TemplateError(fmt::format("'in' does not work on {}", type_name(container)));
}

std::string float_repr(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
  const std::string digits = fmt::format("{}", value);
  return digits.find_first_of(".e") == std::string::npos ? digits + ".0" : digits;
}

namespace {

Text text_repr(const Text& text) {
  const bool has_single = text.find(U'\'') != Text::npos, has_double = text.find(U'"') != Text::npos;
  const char32_t quote = has_single && !has_double ? '"' : '\'';
  Text out(1, quote);
  for (const char32_t c : text) {
    const char32_t code = code_of(c);
    const auto escape = [&](std::string_view escaped) { out += to_text(escaped, (c & kForeign) != 0); };
    if (code == quote || code == '\\') {
      escape({"\\", 1}), out += c;
    } else if (code == '\n' || code == '\r' || code == '\t') {
      escape(code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    } else if (code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD) {
      escape(fmt::format("\\x{:02x}", static_cast<unsigned>(code)));
    } else {
      out += c;
    }
  }
  return out += quote;
}

Text list_repr(const List& list) {
  Text out = to_text(list.tuple ? "(" : "[");
  for (std::size_t i = 0; i < list.items.size(); ++i) out += (i ? to_text(", ") : Text()) + to_repr(list.items[i]);
  return out + to_text(!list.tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
}

Text dict_repr(const Dict& dict) {
  Text out = to_text("{");
  for (const auto& [key, value] : dict.items) {
    if (out.size() > 1) out += to_text(", ");
    out += to_repr(key) + to_text(": ") + to_repr(value);
  }
  return out + to_text("}");
}

}  // namespace

Text to_string(const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_none()) return to_text("None");
  if (const auto* b = value.if_bool()) return to_text(*b ? "True" : "False");
  if (const auto* i = value.if_int()) return to_text(fmt::format("{}", *i));
  if (const auto* f = value.if_float()) return to_text(float_repr(*f));
  if (const auto* text = value.if_text()) return *text;
  if (const auto* list = value.if_list()) return list_repr(*list);
  if (const auto* dict = value.if_dict()) return dict_repr(*dict);
  return to_text(fmt::format("<{}>", type_name(value)));
}

Text to_repr(const Value& value) {
  if (const auto* text = value.if_text()) return text_repr(*text);
  return value.is_undefined() ? to_text("Undefined") : to_string(value);
}

}  // namespace shardline::jinja
