// Methods of text, dicts and lists. Those that change their object do not exist, as in Jinja's immutable sandbox.
#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <span>

#include "engine/text/jinja/builtins.h"

namespace shardline::jinja {
namespace {

const Text& self(const Arguments& a) { return *a[0].if_text(); }

template <bool left, bool right>
Value strip_method(Interpreter&, const Arguments& a) {
  return a[1].is_undefined() || a[1].is_none() ? strip(self(a), left, right) : strip(self(a), left, right, text_argument(a[1]));
}

Value list_of(Interpreter& in, const std::vector<TextView>& parts) {
  in.charge(parts.size());
  List list;
  for (const TextView part : parts) list.items.emplace_back(part);
  return list;
}

template <auto splitter>
Value split_method(Interpreter& in, const Arguments& a) {
  const std::int64_t limit = int_argument(a[2], -1);
  const std::size_t splits = limit < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(limit);
  if (a[1].is_undefined() || a[1].is_none()) {
    if (splitter == split_right && limit >= 0) throw TemplateError("rsplit needs a separator");
    return list_of(in, split_words(self(a), splits));
  }
  const Text& separator = text_argument(a[1]);
  if (separator.empty()) throw TemplateError("an empty separator");
  in.charge_text(search_cost(self(a).size(), separator.size()));
  return list_of(in, splitter(self(a), separator, splits));
}

// Whether the text begins, or ends, with the argument or one of a tuple of them.
template <bool at_end>
Value affix_method(Interpreter& in, const Arguments& a) {
  const std::vector<Value> affixes = a[1].if_list() ? in.items_of(a[1]) : std::vector<Value>{a[1]};
  return std::any_of(affixes.begin(), affixes.end(), [&](const Value& affix) {
    const TextView text = self(a), part = text_argument(affix);
    return part.size() <= text.size() && text.substr(at_end ? text.size() - part.size() : 0, part.size()) == part;
  });
}

template <bool at_end>
Value remove_affix(Interpreter& in, const Arguments& a) {
  TextView text = self(a);
  const std::size_t n = text_argument(a[1]).size();
  if (!truthy(affix_method<at_end>(in, a))) return text;
  return at_end ? text.substr(0, text.size() - n) : text.substr(n);
}

template <bool from_right>
Value find_method(Interpreter& in, const Arguments& a) {
  const Text& part = text_argument(a[1]);
  in.charge_text(search_cost(self(a).size(), part.size()));
  const std::size_t at = from_right ? self(a).rfind(part) : self(a).find(part);
  return at == Text::npos ? std::int64_t{-1} : static_cast<std::int64_t>(at);
}

Value count_method(Interpreter& in, const Arguments& a) {
  const Text& part = text_argument(a[1]);
  if (part.empty()) return self(a).size() + 1;
  in.charge_text(search_cost(self(a).size(), part.size()));
  return split(self(a), part, std::numeric_limits<std::size_t>::max()).size() - 1;
}

Value replace_method(Interpreter& in, const Arguments& a) {
  const Text &from = text_argument(a[1]), &to = text_argument(a[2]);
  in.charge_text(search_cost(self(a).size(), from.size()));
  return replaced(self(a), from, to, int_argument(a[3], -1));
}

Value title_method(Interpreter&, const Arguments& a) {
  Text text = self(a);
  bool in_word = false;
  for (char32_t& c : text) {
    c = in_word ? to_lower(c) : to_upper(c);
    in_word = is_letter(c);
  }
  return text;
}

// Whether all characters are such, and there is one.
template <auto is_such>
Value all_method(Interpreter&, const Arguments& a) {
  return !self(a).empty() && std::all_of(self(a).begin(), self(a).end(), is_such);
}

template <auto wanted, auto other>
Value case_method(Interpreter&, const Arguments& a) {
  return std::any_of(self(a).begin(), self(a).end(), wanted) && std::none_of(self(a).begin(), self(a).end(), other);
}

bool is_digit(char32_t c) { return code_of(c) >= '0' && code_of(c) <= '9'; }
bool is_alphanumeric(char32_t c) { return is_letter(c) || is_digit(c); }

constexpr Builtin kTextMethods[] = {
    {"strip", strip_method<true, true>, "chars?"},
    {"lstrip", strip_method<true, false>, "chars?"},
    {"rstrip", strip_method<false, true>, "chars?"},
    {"split", split_method<split>, "sep? maxsplit?"},
    {"rsplit", split_method<split_right>, "sep? maxsplit?"},
    {"splitlines", [](Interpreter& in, const Arguments& a) { return list_of(in, split_lines(self(a))); }},
    {"startswith", affix_method<false>, "prefix"},
    {"endswith", affix_method<true>, "suffix"},
    {"removeprefix", remove_affix<false>, "prefix"},
    {"removesuffix", remove_affix<true>, "suffix"},
    {"find", find_method<false>, "sub"},
    {"rfind", find_method<true>, "sub"},
    {"count", count_method, "sub"},
    {"replace", replace_method, "old new count?"},
    {"join", [](Interpreter& in, const Arguments& a) -> Value { return joined(in, in.items_of(a[1]), self(a)); }, "iterable"},
    {"upper", [](Interpreter&, const Arguments& a) -> Value { return cased(self(a), to_upper, to_upper); }},
    {"lower", [](Interpreter&, const Arguments& a) -> Value { return cased(self(a), to_lower, to_lower); }},
    {"capitalize", [](Interpreter&, const Arguments& a) -> Value { return cased(self(a), to_upper, to_lower); }},
    {"title", title_method},
    {"isspace", all_method<is_space>},
    {"isdigit", all_method<is_digit>},
    {"isalpha", all_method<is_letter>},
    {"isalnum", all_method<is_alphanumeric>},
    {"isupper", case_method<is_upper, is_lower>},
    {"islower", case_method<is_lower, is_upper>},
};

template <class Pick>
Value list_of_dict(Interpreter& in, const Arguments& a, Pick pick) {
  List list;
  for (const auto& item : a[0].if_dict()->items) list.items.push_back(pick(item));
  in.charge(list.items.size() / 16);
  return list;
}

using Item = std::pair<Value, Value>;
constexpr Builtin kDictMethods[] = {
    {"get",
     [](Interpreter&, const Arguments& a) {
       const Value* value = a[0].if_dict()->find(a[1]);
       return value ? *value : a[2].is_undefined() ? Value(None()) : a[2];
     },
     "key default?"},
    {"items",
     [](Interpreter& in, const Arguments& a) {
       return list_of_dict(in, a, [](const Item& i) { return List{{i.first, i.second}, true}; });
     }},
    {"keys", [](Interpreter& in, const Arguments& a) { return list_of_dict(in, a, [](const Item& i) { return i.first; }); }},
    {"values", [](Interpreter& in, const Arguments& a) { return list_of_dict(in, a, [](const Item& i) { return i.second; }); }},
};

constexpr Builtin kListMethods[] = {
    {"count",
     [](Interpreter& in, const Arguments& a) -> Value {
       in.charge_text(extent_of(a[0]).weight);
       const auto& items = a[0].if_list()->items;
       return std::count_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, a[1]); });
     },
     "value"},
    {"index",
     [](Interpreter& in, const Arguments& a) -> Value {
       in.charge_text(extent_of(a[0]).weight);
       const auto& items = a[0].if_list()->items;
       const auto it = std::find_if(items.begin(), items.end(), [&](const Value& v) { return equal(v, a[1]); });
       if (it == items.end()) throw TemplateError("the list has no such item");
       return it - items.begin();
     },
     "value"},
};

}  // namespace

Value find_attribute(const Value& object, std::string_view name) {
  if (const auto* loop = std::get_if<std::shared_ptr<Loop>>(&object.variant())) return loop_attribute(*loop, name);
  const std::span<const Builtin> methods = object.if_text()   ? std::span<const Builtin>(kTextMethods)
                                           : object.if_dict() ? std::span<const Builtin>(kDictMethods)
                                           : object.if_list() ? std::span<const Builtin>(kListMethods)
                                                              : std::span<const Builtin>();
  const auto it = std::find_if(methods.begin(), methods.end(), [&](const Builtin& b) { return b.name == name; });
  if (it == methods.end()) return {};
  Callable callable{std::string(name), {}};
  callable.extent = extent_around({&object, 1});
  callable.call = [object, &method = *it](Interpreter& in, const Arguments& arguments) {
    Arguments all = arguments;
    all.values.insert(all.values.begin(), object);
    return invoke(in, method, std::move(all), 1);
  };
  return std::make_shared<const Callable>(std::move(callable));
}

}  // namespace shardline::jinja
