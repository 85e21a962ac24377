// Filters: `x|NAME(...)`.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"

namespace shardline::jinja {
namespace {

// The attribute "a.b.0" of a value, or the value itself where no attribute is asked for.
Value dig(Interpreter& in, Value value, const Value& attribute) {
  if (attribute.is_undefined() || attribute.is_none()) return value;
  if (!attribute.if_text()) return in.item(value, attribute);
  for (const TextView part : split(*attribute.if_text(), to_text("."), 16)) {
    const bool number =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char32_t c) { return code_of(c) >= '0' && code_of(c) <= '9'; });
    value = in.item(value, number && part.size() < 10 ? Value(std::stoll(to_utf8(part))) : Value(part));
  }
  return value;
}

// What sorting, comparing and counting filters look at: the attribute, without case where asked.
Value sort_key(Interpreter& in, const Value& value, const Value& attribute, bool case_sensitive) {
  Value key = dig(in, value, attribute);
  const Text* text = key.if_text();
  return text && !case_sensitive ? Value(cased(*text, to_lower, to_lower)) : key;
}

Value trim(Interpreter& in, const Arguments& a) {
  const Text text = in.string_of(a[0]);
  return a[1].is_undefined() || a[1].is_none() ? strip(text, true, true) : strip(text, true, true, text_argument(a[1]));
}

Value title(Interpreter& in, const Arguments& a) {
  Text text = in.string_of(a[0]);
  bool first = true;
  for (char32_t& c : text) {
    c = first ? to_upper(c) : to_lower(c);
    first = is_space(c) || std::u32string_view(U"-({[<").find(code_of(c)) != std::u32string_view::npos;
  }
  return text;
}

Value length(Interpreter&, const Arguments& a) {
  if (const Text* text = a[0].if_text()) return text->size();
  if (const List* list = a[0].if_list()) return list->items.size();
  if (const Dict* dict = a[0].if_dict()) return dict->items.size();
  if (a[0].is_undefined()) return 0;
  throw TemplateError(fmt::format("{} has no length", type_name(a[0])));
}

Value replace(Interpreter& in, const Arguments& a) {
  const Text text = in.string_of(a[0]), from = in.string_of(a[1]), to = in.string_of(a[2]);
  in.charge_text(search_cost(text.size(), from.size()));
  return replaced(text, from, to, a[3].is_none() ? -1 : int_argument(a[3], -1));
}

Value indent(Interpreter& in, const Arguments& a) {
  Text text = in.string_of(a[0]);
  text += U'\n';  // so that a last line that is empty counts
  if (!a[1].if_text() && (int_argument(a[1], 4) < 0 || int_argument(a[1], 4) > 1024)) throw TemplateError("indent: the width is too large");
  const Text margin = a[1].if_text() ? *a[1].if_text() : Text(static_cast<std::size_t>(int_argument(a[1], 4)), U' ');
  const bool first = bool_argument(a[2], false), blank = bool_argument(a[3], false);
  Text out;
  const std::vector<TextView> lines = split_lines(text);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += U'\n';
    if (i == 0 ? first : blank || !lines[i].empty()) out += margin;
    out += lines[i];
    if (out.size() > kMaxText) throw TemplateError("an indented text is too large");
  }
  return out;
}

Value escape(Interpreter& in, const Arguments& a) {
  Text out;
  for (const char32_t c : in.string_of(a[0])) {
    const std::size_t i = std::u32string_view(U"&<>\"'").find(code_of(c));
    static constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    if (i == std::u32string_view::npos) {
      out += c;
    } else {
      out += to_text(kEntities[i], (c & kForeign) != 0);
    }
  }
  return out;
}

Value tojson(Interpreter& in, const Arguments& a) {
  const bool flat = a[1].is_undefined() || a[1].is_none();
  const std::int64_t indent = flat ? -1 : int_argument(a[1], 0);
  if (indent > 16) throw TemplateError("tojson: the indent is too large");
  JsonStyle style{static_cast<int>(std::max<std::int64_t>(indent, -1)), to_text(flat ? ", " : ","), to_text(": ")};
  if (const List* separators = a[2].if_list(); separators && separators->items.size() == 2) {
    style.item_separator = text_argument(separators->items[0]);
    style.key_separator = text_argument(separators->items[1]);
  }
  style.sort_keys = bool_argument(a[3], false);
  style.ascii = bool_argument(a[4], false);
  in.charge_text(extent_of(a[0]).weight);
  return to_json(a[0], style);
}

Value first(Interpreter& in, const Arguments& a) {
  const auto items = in.items_of(a[0]);
  return items.empty() ? Value::undefined("first of nothing") : items.front();
}

Value last(Interpreter& in, const Arguments& a) {
  const auto items = in.items_of(a[0]);
  return items.empty() ? Value::undefined("last of nothing") : items.back();
}

Value join(Interpreter& in, const Arguments& a) {
  std::vector<Value> items = in.items_of(a[0]);
  for (Value& item : items) item = dig(in, std::move(item), a[2]);
  return joined(in, items, a[1].is_undefined() ? Text() : in.string_of(a[1]));
}

Value fallback(Interpreter&, const Arguments& a) {
  const bool missing = a[0].is_undefined() || (bool_argument(a[2], false) && !truthy(a[0]));
  return !missing ? a[0] : a[1].is_undefined() ? Value(Text()) : a[1];
}

Value list(Interpreter& in, const Arguments& a) { return List{in.items_of(a[0])}; }

Value reverse(Interpreter& in, const Arguments& a) {
  if (const Text* text = a[0].if_text()) return Text(text->rbegin(), text->rend());
  List list{in.items_of(a[0])};
  std::reverse(list.items.begin(), list.items.end());
  return list;
}

Value items(Interpreter& in, const Arguments& a) {
  if (a[0].is_undefined()) return List();
  if (!a[0].if_dict()) throw TemplateError(fmt::format("items: expected a dict, not {}", type_name(a[0])));
  return in.call(in.attribute(a[0], "items"), {});
}

Value sorted(Interpreter& in, const std::vector<Value>& values, const std::vector<Value>& keys, bool reversed) {
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    in.charge_text(std::min(extent_of(keys[i]).weight, extent_of(keys[j]).weight));
    return reversed ? compare(keys[j], keys[i]) < 0 : compare(keys[i], keys[j]) < 0;
  });
  List out;
  for (const std::size_t i : order) out.items.push_back(values[i]);
  return out;
}

Value sort(Interpreter& in, const Arguments& a) {
  const std::vector<Value> values = in.items_of(a[0]);
  std::vector<Value> keys;
  for (const Value& v : values) keys.push_back(sort_key(in, v, a[3], bool_argument(a[2], false)));
  return sorted(in, values, keys, bool_argument(a[1], false));
}

Value dictsort(Interpreter& in, const Arguments& a) {
  const std::vector<Value> pairs = in.items_of(items(in, {{defined(a[0])}, {}}));
  const bool by_value = a[2].if_text() && to_utf8(*a[2].if_text()) == "value";
  std::vector<Value> keys;
  for (const Value& v : pairs) keys.push_back(sort_key(in, v, by_value ? 1 : 0, bool_argument(a[1], false)));
  return sorted(in, pairs, keys, bool_argument(a[3], false));
}

Value unique(Interpreter& in, const Arguments& a) {
  List out;
  std::vector<Value> keys;
  for (const Value& v : in.items_of(a[0])) {
    Value key = sort_key(in, v, a[2], bool_argument(a[1], false));
    in.charge(1 + keys.size() / 64 + extent_of(key).weight * keys.size() / 4096);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& k) { return equal(k, key); })) continue;
    keys.push_back(std::move(key));
    out.items.push_back(v);
  }
  return out;
}

template <bool largest>
Value extreme(Interpreter& in, const Arguments& a) {
  std::optional<Value> best, best_key;
  for (const Value& v : in.items_of(a[0])) {
    Value key = sort_key(in, v, a[2], bool_argument(a[1], false));
    in.charge_text(extent_of(key).weight);
    if (best && (largest ? compare(key, *best_key) <= 0 : compare(key, *best_key) >= 0)) continue;
    best = v;
    best_key = std::move(key);
  }
  return best ? *best : Value::undefined("the extreme of nothing");
}

Value sum(Interpreter& in, const Arguments& a) {
  Value total = a[2].is_undefined() ? Value(0) : a[2];
  for (const Value& v : in.items_of(a[0])) {
    total = apply_arithmetic(ast::Op::add, total, dig(in, v, a[1]));
    in.charge(1 + extent_of(total).weight / 128);
  }
  return total;
}

Value absolute(Interpreter&, const Arguments& a) {
  if (const double* f = defined(a[0]).if_float()) return std::fabs(*f);
  const std::int64_t i = int_argument(a[0], 0);
  return i < 0 ? apply_unary(ast::Op::neg, i) : Value(i);
}

std::optional<double> parse_float(const Text& text) {
  std::string digits = to_utf8(strip(text, true, true));
  std::erase(digits, '_');
  const char* begin = digits.data() + (digits.starts_with('+') ? 1 : 0);
  double value = 0;
  const auto result = std::from_chars(begin, digits.data() + digits.size(), value);
  return result.ec == std::errc() && result.ptr == digits.data() + digits.size() ? std::optional(value) : std::nullopt;
}

Value to_int(Interpreter&, const Arguments& a) {
  const Value otherwise = a[1].is_undefined() ? Value(0) : a[1];
  if (defined(a[0]).if_int() || a[0].if_bool()) return int_argument(a[0], 0);
  std::optional<double> value;
  if (const double* f = a[0].if_float()) value = *f;
  if (const Text* text = a[0].if_text()) {
    std::string digits = to_utf8(strip(*text, true, true));
    std::erase(digits, '_');
    const char* begin = digits.data() + (digits.starts_with('+') ? 1 : 0);
    std::int64_t integer = 0;
    const auto result = std::from_chars(begin, digits.data() + digits.size(), integer,
                                        static_cast<int>(std::clamp<std::int64_t>(int_argument(a[2], 10), 2, 36)));
    if (result.ec == std::errc() && result.ptr == digits.data() + digits.size()) return integer;
    value = parse_float(*text);
  }
  return value && std::fabs(*value) < 9e18 ? Value(static_cast<std::int64_t>(*value)) : otherwise;
}

Value to_float(Interpreter&, const Arguments& a) {
  const Value otherwise = a[1].is_undefined() ? Value(0.0) : a[1];
  if (const double* f = defined(a[0]).if_float()) return *f;
  if (a[0].if_int() || a[0].if_bool()) return static_cast<double>(int_argument(a[0], 0));
  const std::optional<double> value = a[0].if_text() ? parse_float(*a[0].if_text()) : std::nullopt;
  return value ? Value(*value) : otherwise;
}

Value round(Interpreter&, const Arguments& a) {
  const double* f = a[0].if_float();
  const std::int64_t i = f ? 0 : int_argument(defined(a[0]), 0);
  const double value = f ? *f : static_cast<double>(i);
  const auto digits = static_cast<int>(std::clamp<std::int64_t>(int_argument(a[1], 0), 0, 300));
  const std::string method = a[2].is_undefined() ? "common" : to_utf8(text_argument(a[2]));
  if (method == "common" && !f) return i;
  const double scale = std::pow(10.0, digits);
  if (method == "ceil") return std::ceil(value * scale) / scale;
  if (method == "floor") return std::floor(value * scale) / scale;
  if (method != "common") throw TemplateError(fmt::format("round: unknown method '{}'", method));
  return *parse_float(to_text(fmt::format("{:.{}f}", value, digits)));  // rounds the exact value, ties to even, as Python
}

// For map and select, whatever is false has no items.
std::vector<Value> items_if_any(Interpreter& in, const Value& value) { return truthy(value) ? in.items_of(value) : std::vector<Value>(); }

Value map(Interpreter& in, const Arguments& a) {
  List out;
  const auto attribute = std::find_if(a.named.begin(), a.named.end(), [](const auto& n) { return n.first == "attribute"; });
  const auto otherwise = std::find_if(a.named.begin(), a.named.end(), [](const auto& n) { return n.first == "default"; });
  if (attribute == a.named.end() && a.values.size() < 2) throw TemplateError("map needs a filter or an attribute");
  for (const Value& v : items_if_any(in, a[0])) {
    if (attribute != a.named.end()) {
      Value value = dig(in, v, attribute->second);
      out.items.push_back(value.is_undefined() && otherwise != a.named.end() ? otherwise->second : value);
      continue;
    }
    Arguments rest{{v}, a.named};
    rest.values.insert(rest.values.end(), a.values.begin() + 2, a.values.end());
    out.items.push_back(in.filter(to_utf8(text_argument(a[1])), std::move(rest)));
  }
  return out;
}

// select and reject: value, test, arguments; selectattr and rejectattr: value, attribute, test, arguments. No test: truth.
template <bool keep, bool by_attribute>
Value select(Interpreter& in, const Arguments& a) {
  List out;
  const std::size_t name = by_attribute ? 2 : 1;
  if (by_attribute && a.values.size() < 2) throw TemplateError("an attribute is needed");
  for (const Value& v : items_if_any(in, a[0])) {
    const Value subject = by_attribute ? dig(in, v, a[1]) : v;
    bool selected = truthy(subject);
    if (a.values.size() > name) {
      Arguments rest{{subject}, a.named};
      rest.values.insert(rest.values.end(), a.values.begin() + static_cast<std::ptrdiff_t>(name) + 1, a.values.end());
      selected = in.test(to_utf8(text_argument(a[name])), std::move(rest));
    }
    if (selected == keep) out.items.push_back(v);
  }
  return out;
}

Value format(Interpreter&, const Arguments& a) {
  return format_percent(text_argument(a[0]), List{{a.values.begin() + 1, a.values.end()}, true});
}

constexpr Builtin kFilters[] = {
    {"trim", trim, "chars?"},
    {"upper", [](Interpreter& in, const Arguments& a) -> Value { return cased(in.string_of(a[0]), to_upper, to_upper); }},
    {"lower", [](Interpreter& in, const Arguments& a) -> Value { return cased(in.string_of(a[0]), to_lower, to_lower); }},
    {"capitalize", [](Interpreter& in, const Arguments& a) -> Value { return cased(in.string_of(a[0]), to_upper, to_lower); }},
    {"title", title},
    {"string", [](Interpreter& in, const Arguments& a) -> Value { return in.string_of(a[0]); }},
    {"safe", [](Interpreter& in, const Arguments& a) -> Value { return in.string_of(a[0]); }},
    {"escape", escape},
    {"e", escape},
    {"replace", replace, "old new count?"},
    {"indent", indent, "width? first? blank?"},
    {"format", format, "*"},
    {"tojson", tojson, "indent? separators? sort_keys? ensure_ascii?"},
    {"length", length},
    {"count", length},
    {"first", first},
    {"last", last},
    {"join", join, "d? attribute?"},
    {"default", fallback, "default_value? boolean?"},
    {"d", fallback, "default_value? boolean?"},
    {"list", list},
    {"reverse", reverse},
    {"items", items},
    {"dictsort", dictsort, "case_sensitive? by? reverse?"},
    {"sort", sort, "reverse? case_sensitive? attribute?"},
    {"unique", unique, "case_sensitive? attribute?"},
    {"min", extreme<false>, "case_sensitive? attribute?"},
    {"max", extreme<true>, "case_sensitive? attribute?"},
    {"sum", sum, "attribute? start?"},
    {"abs", absolute},
    {"int", to_int, "default? base?"},
    {"float", to_float, "default?"},
    {"round", round, "precision? method?"},
    {"map", map, "*"},
    {"select", select<true, false>, "*"},
    {"reject", select<false, false>, "*"},
    {"selectattr", select<true, true>, "*"},
    {"rejectattr", select<false, true>, "*"},
};

}  // namespace

const Builtin* find_filter(std::string_view name) {
  const auto it = std::find_if(std::begin(kFilters), std::end(kFilters), [&](const Builtin& b) { return b.name == name; });
  return it == std::end(kFilters) ? nullptr : &*it;
}

}  // namespace shardline::jinja
