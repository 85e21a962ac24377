// What templates find ready: filters, tests, methods and global functions, each a row of a table.
#pragma once
#include <string_view>

#include "engine/text/jinja/interpreter.h"

namespace shardline::jinja {

struct Builtin {
  std::string_view name;
  // `a`: the value filtered, tested or asked (not for global functions), then the arguments in the order of the signature;
  // a[i] is undefined where an argument was left out.
  Value (*function)(Interpreter& in, const Arguments& a);
  // Names of the arguments, "?" behind optional ones; "*": takes arguments as they are written.
  std::string_view signature = "";
};

const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
Value find_global(std::string_view name);                          // a function; undefined: none
Value find_attribute(const Value& object, std::string_view name);  // a method, or what a loop knows; undefined: none

Value loop_attribute(const std::shared_ptr<Loop>& loop, std::string_view name);

// Binds the arguments to the signature, the first `given` values being in place already, and calls.
Value invoke(Interpreter& in, const Builtin& builtin, Arguments arguments, std::size_t given);

// Arguments of an expected type; `fallback` where left out.
const Text& text_argument(const Value& value);
std::int64_t int_argument(const Value& value, std::int64_t fallback);
bool bool_argument(const Value& value, bool fallback);

Text replaced(const Text& text, const Text& from, const Text& to, std::int64_t limit);  // limit < 0: all
Text joined(Interpreter& in, const std::vector<Value>& items, const Text& separator);
Text cased(const Text& text, char32_t (*first)(char32_t), char32_t (*rest)(char32_t));  // of the first character, of the others

}  // namespace shardline::jinja
