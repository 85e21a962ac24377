// Python's operators on values.
#pragma once
#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/value.h"

namespace shardline::jinja {

// All throw TemplateError for types that do not fit and for integers beyond 64 bits.
const Value& defined(const Value& value);             // the value, which must not be undefined
Value apply_unary(ast::Op op, const Value& operand);  // neg, pos
Value apply_arithmetic(ast::Op op, const Value& left, const Value& right);
bool apply_comparison(ast::Op op, const Value& left, const Value& right);
std::size_t comparison_cost(ast::Op op, const Value& left, const Value& right);  // characters and items looked at, at most
Value slice(const Value& operand, const Value& start, const Value& stop, const Value& step);
Value format_percent(const Text& format, const Value& arguments);  // %s %r %d %%

}  // namespace shardline::jinja
