// The values of a template: Python's, as far as templates see them. Everything but namespaces is immutable and shared.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/text.h"

namespace shardline::jinja {

// Thrown inside this folder only: parse() and render() turn it into a Result. `line` 0: the interpreter knows.
struct TemplateError : std::runtime_error {
  explicit TemplateError(const std::string& message, int at_line = 0) : std::runtime_error(message), line(at_line) {}
  int line;
};

class Interpreter;
class Value;
struct Callable;
struct Dict;
struct List;
struct Loop;
struct Namespace;

// Values nest at most this deep and, written out, have at most this many parts and characters, shared ones counted every time: so
// freeing, comparing and printing them is bounded.
inline constexpr int kMaxValueDepth = 64;
inline constexpr std::size_t kMaxWeight = 32u << 20;
inline constexpr std::size_t kMaxText = 8u << 20;  // characters of one text

struct None {
  bool operator==(const None&) const = default;
};
struct Undefined {
  std::string why;  // "'x' is undefined"
  bool operator==(const Undefined&) const { return true; }
};

// Arguments as they are written, or, once bound to a signature, by place.
struct Arguments {
  std::vector<Value> values;
  std::vector<std::pair<std::string, Value>> named;

  const Value& operator[](std::size_t i) const;
};

class Value {
 public:
  using Variant =
      std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<const List>,
                   std::shared_ptr<const Dict>, std::shared_ptr<const Callable>, std::shared_ptr<Namespace>, std::shared_ptr<Loop>>;

  Value() = default;  // undefined
  template <class T>
  requires std::is_constructible_v<Variant, T&&> Value(T&& value) : variant_(std::forward<T>(value)) {}
  Value(int value) : variant_(std::int64_t{value}) {}
  Value(std::size_t value) : variant_(static_cast<std::int64_t>(value)) {}
  Value(Text text) : variant_(std::make_shared<const Text>(std::move(text))) {}
  Value(TextView text) : Value(Text(text)) {}
  Value(std::string_view text) : Value(to_text(text)) {}
  Value(const std::string& text) : Value(to_text(text)) {}
  Value(const char* text) : Value(to_text(text)) {}
  Value(List list);  // throws where it nests too deep or is too large
  Value(Dict dict);
  static Value undefined(std::string why) { return Undefined{std::move(why)}; }

  const Variant& variant() const { return variant_; }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(variant_);
  }
  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  const bool* if_bool() const { return std::get_if<bool>(&variant_); }
  const std::int64_t* if_int() const { return std::get_if<std::int64_t>(&variant_); }
  const double* if_float() const { return std::get_if<double>(&variant_); }
  const Text* if_text() const { return pointee<const Text>(); }
  const List* if_list() const { return pointee<const List>(); }
  const Dict* if_dict() const { return pointee<const Dict>(); }
  const Callable* if_callable() const { return pointee<const Callable>(); }
  Namespace* if_namespace() const { return pointee<Namespace>(); }
  Loop* if_loop() const { return pointee<Loop>(); }

 private:
  template <class T>
  T* pointee() const {
    const auto* pointer = std::get_if<std::shared_ptr<T>>(&variant_);
    return pointer ? pointer->get() : nullptr;
  }
  Variant variant_;
};

struct Extent {
  int depth = 0;
  std::size_t weight = 1;
};

struct List {
  std::vector<Value> items;
  bool tuple = false;
  Extent extent{};
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in order of insertion
  Extent extent{};

  const Value* find(const Value& key) const;
  void set(const Value& key, Value value);
};

struct Namespace {
  Dict values;
};

// What `loop` is inside a for.
struct Loop {
  std::vector<Value> items;
  std::size_t index = 0;
  Extent extent{};
  Value changed;  // the arguments of the last loop.changed()
};

// A macro, a function, or a method with its object.
struct Callable {
  std::string name;
  std::function<Value(Interpreter&, const Arguments&)> call;
  Extent extent{};
};

std::string type_name(const Value& value);
Extent extent_of(const Value& value);
Extent extent_around(std::span<const Value> values);  // of what holds the values; throws over a limit
bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
int compare(const Value& a, const Value& b);  // negative, 0, positive; throws where there is no order
bool contains(const Value& container, const Value& item);

// Python's str() and repr(). str() of text is the text itself.
Text to_string(const Value& value);
Text to_repr(const Value& value);
std::string float_repr(double value);

struct JsonStyle {
  int indent = -1;  // negative: one line
  Text item_separator, key_separator;
  bool sort_keys = false, ascii = false;
};
Text to_json(const Value& value, const JsonStyle& style);

}  // namespace shardline::jinja
