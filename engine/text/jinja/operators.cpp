#include "engine/text/jinja/operators.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace shardline::jinja {
namespace {

using ast::Op;

std::string_view symbol(Op op) {
  static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**", "~"};
  return op <= Op::concat ? kSymbols[static_cast<int>(op)] : "?";
}

std::optional<std::int64_t> integer(const Value& value) {
  if (const bool* b = value.if_bool()) return *b ? 1 : 0;
  if (const std::int64_t* i = value.if_int()) return *i;
  return std::nullopt;
}

std::optional<double> number(const Value& value) {
  if (const auto i = integer(value)) return static_cast<double>(*i);
  if (const double* f = value.if_float()) return *f;
  return std::nullopt;
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}  // b is neither 0 nor -1

[[noreturn]] void overflow() { throw TemplateError("an integer needs more than 64 bits"); }

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  std::int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value integers(Op op, std::int64_t a, std::int64_t b) {
  if ((op == Op::div || op == Op::floor_div || op == Op::mod) && b == 0) throw TemplateError("division by zero");
  if (op == Op::div) return static_cast<double>(a) / static_cast<double>(b);
  if (op == Op::pow) return power(a, b);
  if (op == Op::mod) return b == -1 ? std::int64_t{0} : a - floor_divide(a, b) * b;
  if (op == Op::floor_div && b != -1) return floor_divide(a, b);
  std::int64_t out = 0;
  const bool wraps = op == Op::add   ? __builtin_add_overflow(a, b, &out)
                     : op == Op::mul ? __builtin_mul_overflow(a, b, &out)
                     : op == Op::sub ? __builtin_sub_overflow(a, b, &out)
                                     : __builtin_sub_overflow(std::int64_t{0}, a, &out);  // a // -1
  if (wraps) overflow();
  return out;
}

Value floats(Op op, double a, double b) {
  if ((op == Op::div || op == Op::floor_div || op == Op::mod) && b == 0) throw TemplateError("division by zero");
  switch (op) {
    case Op::add: return a + b;
    case Op::sub: return a - b;
    case Op::mul: return a * b;
    case Op::div: return a / b;
    case Op::floor_div: return std::floor(a / b);
    case Op::mod: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    default: return std::pow(a, b);
  }
}

Value repeated(const Value& value, std::int64_t times) {
  const Text* text = value.if_text();
  const std::size_t size = text ? text->size() : value.if_list()->items.size();
  const std::size_t n = times < 0 || size == 0 ? 0 : static_cast<std::size_t>(times);
  if (n > kMaxText / std::max<std::size_t>(size, 1)) throw TemplateError("a repetition is too large");
  Text out;
  List list{{}, !text && value.if_list()->tuple};
  for (std::size_t i = 0; i < n; ++i) {
    if (text) {
      out += *text;
    } else {
      list.items.insert(list.items.end(), value.if_list()->items.begin(), value.if_list()->items.end());
    }
  }
  return text ? Value(std::move(out)) : Value(std::move(list));
}

}  // namespace

const Value& defined(const Value& value) {
  if (const auto* undefined = std::get_if<Undefined>(&value.variant())) throw TemplateError(undefined->why);
  return value;
}

Value apply_unary(Op op, const Value& operand) {
  if (const auto i = integer(defined(operand))) return op == Op::neg ? integers(Op::sub, 0, *i) : Value(*i);
  if (const double* f = operand.if_float()) return op == Op::neg ? -*f : *f;
  throw TemplateError(fmt::format("a sign before {}", type_name(operand)));
}

Value apply_arithmetic(Op op, const Value& left, const Value& right) {
  if (op == Op::mod && left.if_text()) return format_percent(*left.if_text(), right);
  defined(left), defined(right);
  if (const auto a = integer(left), b = integer(right); a && b) return integers(op, *a, *b);
  if (const auto a = number(left), b = number(right); a && b) return floats(op, *a, *b);
  if (op == Op::add && left.if_text() && right.if_text()) return *left.if_text() + *right.if_text();
  if (const List* a = left.if_list(), *b = right.if_list(); op == Op::add && a && b && a->tuple == b->tuple) {
    List sum{a->items, a->tuple};
    sum.items.insert(sum.items.end(), b->items.begin(), b->items.end());
    return sum;
  }
  const auto repeats = [](const Value& value) { return value.if_text() || value.if_list(); };
  if (const auto n = integer(right); op == Op::mul && n && repeats(left)) return repeated(left, *n);
  if (const auto n = integer(left); op == Op::mul && n && repeats(right)) return repeated(right, *n);
  throw TemplateError(fmt::format("{} {} {} does not work", type_name(left), symbol(op), type_name(right)));
}

bool apply_comparison(Op op, const Value& left, const Value& right) {
  switch (op) {
    case Op::eq: return equal(left, right);
    case Op::ne: return !equal(left, right);
    case Op::in: return contains(right, left);
    case Op::not_in: return !contains(right, left);
    default: break;
  }
  const int order = compare(defined(left), defined(right));
  return op == Op::lt ? order < 0 : op == Op::le ? order <= 0 : op == Op::gt ? order > 0 : order >= 0;
}

std::size_t comparison_cost(Op op, const Value& left, const Value& right) {
  const std::size_t a = extent_of(left).weight, b = extent_of(right).weight;
  if (op != Op::in && op != Op::not_in) return std::min(a, b);
  return right.if_text() ? search_cost(b, a) : b;
}

namespace {

// Where a slice begins, in how many steps of what width it goes.
struct SliceRange {
  std::int64_t start, step, count;
};

SliceRange slice_range(std::int64_t size, const Value& start, const Value& stop, const Value& step_value) {
  const auto get = [](const Value& value, std::int64_t fallback) {
    if (value.is_none()) return fallback;
    const auto i = integer(value);
    if (!i) throw TemplateError(fmt::format("a slice needs integers, not {}", type_name(value)));
    return *i;
  };
  const std::int64_t step = get(step_value, 1);
  if (step == 0) throw TemplateError("a slice cannot have step 0");
  const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto clamped = [&](const Value& value, std::int64_t fallback) {
    if (value.is_none()) return fallback;
    const std::int64_t i = get(value, 0);
    return std::clamp(i < 0 ? i + size : i, low, high);
  };
  const std::int64_t from = clamped(start, step < 0 ? high : low), to = clamped(stop, step < 0 ? low : high);
  const std::int64_t distance = step < 0 ? from - to : to - from;
  if (distance <= 0) return {from, 1, 0};
  if (step <= -size || step >= size) return {from, 0, 1};  // also keeps -step from overflowing
  const std::int64_t width = step < 0 ? -step : step;
  return {from, step, (distance + width - 1) / width};
}

}  // namespace

Value slice(const Value& operand, const Value& start, const Value& stop, const Value& step) {
  const Text* text = defined(operand).if_text();
  const List* list = operand.if_list();
  if (!text && !list) throw TemplateError(fmt::format("{} cannot be sliced", type_name(operand)));
  const SliceRange range = slice_range(static_cast<std::int64_t>(text ? text->size() : list->items.size()), start, stop, step);
  Text text_out;
  List list_out{{}, list && list->tuple};
  for (std::int64_t i = 0, at = range.start; i < range.count; ++i, at += range.step) {
    if (text) {
      text_out += (*text)[at];
    } else {
      list_out.items.push_back(list->items[at]);
    }
  }
  return text ? Value(std::move(text_out)) : Value(std::move(list_out));
}

Value format_percent(const Text& format, const Value& arguments) {
  const List* tuple = arguments.if_list() && arguments.if_list()->tuple ? arguments.if_list() : nullptr;
  const std::size_t given = tuple ? tuple->items.size() : 1;
  std::size_t used = 0;
  Text out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (code_of(format[i]) != '%') {
      out += format[i];
      continue;
    }
    const char32_t kind = ++i < format.size() ? code_of(format[i]) : 0;
    if (kind == '%') {
      out += format[i];
      continue;
    }
    if (used == given) throw TemplateError("not enough values for the format");
    const Value& value = tuple ? tuple->items[used] : arguments;
    ++used;
    if (kind == 's') {
      out += to_string(value);
    } else if (kind == 'r') {
      out += to_repr(value);
    } else if (kind == 'd' && number(value)) {
      out += to_string(integer(value) ? *integer(value) : static_cast<std::int64_t>(std::clamp(*number(value), -9e18, 9e18)));
    } else {
      throw TemplateError(fmt::format("the format '%{}' does not work with {}", to_utf8(TextView(&kind, 1)), type_name(value)));
    }
    if (out.size() > kMaxText) throw TemplateError("a formatted text is too large");
  }
  const bool may_be_left = arguments.if_dict() || (arguments.if_list() && !tuple);
  if (used != given && !may_be_left) throw TemplateError("not all values were used by the format");
  return out;
}

}  // namespace shardline::jinja
