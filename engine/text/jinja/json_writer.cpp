// json.dumps of Python, whose output chat templates are trained with.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/text/jinja/value.h"

namespace shardline::jinja {
namespace {

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  void write(const Value& value) {
    if (out_.size() > kMaxText) throw TemplateError("tojson: the text is too large");
    if (value.is_none()) {
      put("null");
    } else if (const auto* b = value.if_bool()) {
      put(*b ? "true" : "false");
    } else if (const auto* f = value.if_float()) {
      put(std::isnan(*f) ? "NaN" : std::isinf(*f) ? (*f < 0 ? "-Infinity" : "Infinity") : float_repr(*f));
    } else if (value.if_int()) {
      out_ += to_string(value);
    } else if (const auto* text = value.if_text()) {
      write_text(*text);
    } else if (const auto* list = value.if_list()) {
      write_items('[', ']', list->items, [&](const Value& item) { write(item); });
    } else if (const auto* dict = value.if_dict()) {
      write_dict(*dict);
    } else {
      throw TemplateError(fmt::format("tojson: {} is not a JSON value", type_name(value)));
    }
  }
  Text take() { return std::move(out_); }

 private:
  void put(std::string_view ascii, char32_t origin = 0) {
    for (const char c : ascii) out_ += static_cast<char32_t>(c) | origin;
  }

  void write_text(const Text& text) {
    put("\"");
    for (const char32_t c : text) write_character(code_of(c), c & kForeign);
    put("\"");
  }

  void write_character(char32_t code, char32_t origin) {
    static constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    const std::size_t i = code < 0x80 ? kEscaped.find(static_cast<char>(code)) : std::string_view::npos;
    if (i != std::string_view::npos) {
      put("\\", origin), put(kLetters.substr(i, 1), origin);
    } else if (code >= 0x10000 && style_.ascii) {
      put(fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (static_cast<unsigned>(code) >> 10), 0xDC00 + (static_cast<unsigned>(code) & 0x3FF)),
          origin);
    } else if (code < 0x20 || (code >= 0x7F && style_.ascii)) {
      put(fmt::format("\\u{:04x}", static_cast<unsigned>(code)), origin);
    } else {
      out_ += code | origin;
    }
  }

  void write_dict(const Dict& dict) {
    auto items = dict.items;
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
    }
    write_items('{', '}', items, [&](const auto& item) {
      if (item.first.if_text()) {
        write(item.first);
      } else {  // keys are strings
        put("\""), write(item.first), put("\"");
      }
      out_ += style_.key_separator;
      write(item.second);
    });
  }

  template <class Items, class Write>
  void write_items(char open, char close, const Items& items, Write write_item) {
    put({&open, 1});
    ++level_;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line();
      write_item(items[i]);
    }
    --level_;
    if (!items.empty()) new_line();
    put({&close, 1});
  }

  void new_line() {
    if (style_.indent < 0) return;
    put("\n");
    out_.append(static_cast<std::size_t>(style_.indent * level_), U' ');
  }

  const JsonStyle& style_;
  int level_ = 0;
  Text out_;
};

}  // namespace

Text to_json(const Value& value, const JsonStyle& style) {
  JsonWriter writer(style);
  writer.write(value);
  return writer.take();
}

}  // namespace shardline::jinja
