#include "engine/text/jinja/expression_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace shardline::jinja {
namespace {

using ast::Expression;
using ast::ExpressionPtr;
using ast::Op;
using ast::Suffix;

template <class Node>
ExpressionPtr make(Node node, int line) {
  return std::make_unique<Expression>(Expression{std::move(node), line});
}

ExpressionPtr with_suffixes(ExpressionPtr operand, std::vector<Suffix> suffixes) {
  if (suffixes.empty()) return operand;
  const int line = operand->line;
  return make(ast::Postfix{std::move(operand), std::move(suffixes)}, line);
}

struct Operator {
  int level;
  std::string_view text;
  Op op;
};

// From the loosest to the tightest. Words are name tokens.
enum Level { kOr, kAnd, kNot, kCompare, kSum, kConcat, kProduct, kPower, kUnary };
constexpr Operator kOperators[] = {
    {kOr, "or", Op::logic_or},  {kAnd, "and", Op::logic_and},  {kCompare, "==", Op::eq}, {kCompare, "!=", Op::ne},
    {kCompare, "<", Op::lt},    {kCompare, "<=", Op::le},      {kCompare, ">", Op::gt},  {kCompare, ">=", Op::ge},
    {kCompare, "in", Op::in},   {kCompare, "not", Op::not_in}, {kSum, "+", Op::add},     {kSum, "-", Op::sub},
    {kConcat, "~", Op::concat}, {kProduct, "*", Op::mul},      {kProduct, "/", Op::div}, {kProduct, "//", Op::floor_div},
    {kProduct, "%", Op::mod},   {kPower, "**", Op::pow},
};

}  // namespace

void ExpressionParser::fail(const std::string& message) const { throw TemplateError(message, current().line); }

bool ExpressionParser::accept(Token::Kind kind, std::string_view text) {
  if (!looking_at(kind, text)) return false;
  take();
  return true;
}

void ExpressionParser::expect_op(std::string_view text) {
  if (!accept_op(text)) fail(fmt::format("expected '{}' before '{}'", text, current().text));
}

std::string ExpressionParser::expect_name() {
  if (current().kind != Token::name) fail(fmt::format("expected a name before '{}'", current().text));
  return take().text;
}

ExpressionPtr ExpressionParser::expression(bool conditional) {
  const Nested nested(*this);
  const int line = current().line;
  ExpressionPtr value = binary(kOr);
  if (!conditional || !accept_name("if")) return value;
  ExpressionPtr condition = binary(kOr);
  ExpressionPtr otherwise = accept_name("else") ? expression() : nullptr;
  return make(ast::Conditional{std::move(condition), std::move(value), std::move(otherwise)}, line);
}

bool ExpressionParser::at_end_of_tuple() const {
  return current().kind == Token::print_end || current().kind == Token::tag_end || looking_at(Token::op, ")");
}

ExpressionPtr ExpressionParser::tuple_or_expression(bool conditional) {
  const int line = current().line;
  ExpressionPtr first = expression(conditional);
  if (!looking_at(Token::op, ",")) return first;
  ast::ListLiteral tuple{{}, true};
  tuple.items.push_back(std::move(first));
  while (accept_op(",") && !at_end_of_tuple()) tuple.items.push_back(expression(conditional));
  return make(std::move(tuple), line);
}

std::optional<Op> ExpressionParser::accept_operator(int level) {
  for (const Operator& o : kOperators) {
    if (o.level != level || current().text != o.text || (current().kind != Token::op && current().kind != Token::name)) continue;
    if (o.op == Op::not_in) {
      if (next().kind != Token::name || next().text != "in") return std::nullopt;
      take();
    }
    take();
    return o.op;
  }
  return std::nullopt;
}

ExpressionPtr ExpressionParser::binary(int level) {
  if (level == kUnary) return unary(true);
  const int line = current().line;
  if (level == kNot && accept_name("not")) {
    const Nested nested(*this);
    return make(ast::Unary{Op::logic_not, binary(kNot)}, line);
  }
  ast::Chain chain{binary(level + 1), {}};
  while (const std::optional<Op> op = accept_operator(level)) chain.rest.emplace_back(*op, binary(level + 1));
  return chain.rest.empty() ? std::move(chain.first) : make(std::move(chain), line);
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const Nested nested(*this);
  const int line = current().line;
  ExpressionPtr operand;
  if (looking_at(Token::op, "-") || looking_at(Token::op, "+")) {
    const Op op = take().text == "-" ? Op::neg : Op::pos;
    operand = make(ast::Unary{op, unary(false)}, line);
  } else {
    operand = primary();
  }
  std::vector<Suffix> suffixes;
  add_postfix(suffixes);
  if (with_filters) add_filters_and_tests(suffixes);
  return with_suffixes(std::move(operand), std::move(suffixes));
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = current();
  switch (token.kind) {
    case Token::name: return name_or_constant();
    case Token::string: {
      std::string text;
      while (current().kind == Token::string) text += take().text;  // strings beside each other are one
      return make(ast::Literal{to_text(text)}, token.line);
    }
    case Token::integer: {
      std::int64_t value = 0;
      const auto result = std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      if (result.ec != std::errc()) fail(fmt::format("{} is too large", token.text));
      take();
      return make(ast::Literal{value}, token.line);
    }
    case Token::floating: {
      double value = 0;
      std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
      take();
      return make(ast::Literal{value}, token.line);
    }
    default: break;
  }
  if (looking_at(Token::op, "[")) return list();
  if (looking_at(Token::op, "{")) return dict();
  if (!accept_op("(")) fail(fmt::format("expected an expression before '{}'", token.text));
  ExpressionPtr inner = looking_at(Token::op, ")") ? make(ast::ListLiteral{{}, true}, token.line) : tuple_or_expression();
  expect_op(")");
  return inner;
}

ExpressionPtr ExpressionParser::name_or_constant() {
  const Token token = take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make(ast::Literal{true}, token.line);
  if (name == "false" || name == "False") return make(ast::Literal{false}, token.line);
  if (name == "none" || name == "None") return make(ast::Literal{None()}, token.line);
  return make(ast::Name{name}, token.line);
}

ExpressionPtr ExpressionParser::list() {
  const int line = take().line;
  ast::ListLiteral list{{}, false};
  while (!looking_at(Token::op, "]")) {
    list.items.push_back(expression());
    if (!looking_at(Token::op, "]")) expect_op(",");
  }
  take();
  return make(std::move(list), line);
}

ExpressionPtr ExpressionParser::dict() {
  const int line = take().line;
  ast::DictLiteral dict;
  while (!looking_at(Token::op, "}")) {
    ExpressionPtr key = expression();
    expect_op(":");
    dict.items.emplace_back(std::move(key), expression());
    if (!looking_at(Token::op, "}")) expect_op(",");
  }
  take();
  return make(std::move(dict), line);
}

void ExpressionParser::add_postfix(std::vector<Suffix>& suffixes) {
  while (true) {
    const int line = current().line;
    if (looking_at(Token::op, ".") || looking_at(Token::op, "[")) {
      suffixes.push_back(subscript());
    } else if (looking_at(Token::op, "(")) {
      suffixes.push_back({call(), line});
    } else {
      return;
    }
  }
}

void ExpressionParser::add_filters_and_tests(std::vector<Suffix>& suffixes) {
  while (true) {
    const int line = current().line;
    if (accept_op("|")) {
      suffixes.push_back(filter());
    } else if (accept_name("is")) {
      suffixes.push_back(test());
    } else if (looking_at(Token::op, "(")) {
      suffixes.push_back({call(), line});
    } else {
      return;
    }
  }
}

std::vector<Suffix> ExpressionParser::filters() { return accept_op("|") ? filters_after_bar() : std::vector<Suffix>(); }

std::vector<Suffix> ExpressionParser::filters_after_bar() {
  std::vector<Suffix> out;
  do {
    out.push_back(filter());
  } while (accept_op("|"));
  return out;
}

Suffix ExpressionParser::subscript() {
  const int line = current().line;
  if (accept_op(".")) {
    if (current().kind == Token::integer) return {ast::Index{primary()}, line};
    return {ast::Attribute{expect_name()}, line};
  }
  expect_op("[");
  const auto part = [&]() -> ExpressionPtr { return looking_at(Token::op, ":") || looking_at(Token::op, "]") ? nullptr : expression(); };
  ExpressionPtr first = part();
  if (!accept_op(":")) {
    if (!first) fail("expected an index before ']'");
    expect_op("]");
    return {ast::Index{std::move(first)}, line};
  }
  ExpressionPtr stop = part();
  ExpressionPtr step = accept_op(":") ? part() : nullptr;
  expect_op("]");
  return {ast::Slice{std::move(first), std::move(stop), std::move(step)}, line};
}

Suffix ExpressionParser::filter() {
  const int line = current().line;
  std::string name = expect_name();
  return {ast::Filter{std::move(name), looking_at(Token::op, "(") ? call() : ast::Call()}, line};
}

Suffix ExpressionParser::test() {
  const int line = current().line;
  const bool negated = accept_name("not");
  ast::Test test{expect_name(), {}, negated};
  const Token& token = current();
  const bool word = token.kind == Token::name && token.text != "else" && token.text != "or" && token.text != "and" && token.text != "is" &&
                    token.text != "if" && token.text != "in" && token.text != "not";
  if (looking_at(Token::op, "(")) {
    test.arguments = call();
  } else if (word || token.kind == Token::string || token.kind == Token::integer || token.kind == Token::floating ||
             looking_at(Token::op, "[") || looking_at(Token::op, "{")) {
    ExpressionPtr operand = primary();
    std::vector<Suffix> suffixes;
    add_postfix(suffixes);
    test.arguments.values.push_back(with_suffixes(std::move(operand), std::move(suffixes)));
  }
  return {std::move(test), line};
}

ast::Call ExpressionParser::call() {
  ast::Call out;
  expect_op("(");
  while (!looking_at(Token::op, ")")) {
    if (looking_at(Token::op, "*") || looking_at(Token::op, "**")) fail("'*' before an argument is not supported");
    if (current().kind == Token::name && next().kind == Token::op && next().text == "=") {
      std::string name = take().text;
      take();
      out.named.emplace_back(std::move(name), expression());
    } else {
      if (!out.named.empty()) fail("an argument without a name after one with a name");
      out.values.push_back(expression());
    }
    if (!looking_at(Token::op, ")")) expect_op(",");
  }
  take();
  return out;
}

ast::Target ExpressionParser::single_target() {
  const Nested nested(*this);
  if (accept_op("(")) {
    ast::Target inner = target();
    expect_op(")");
    return inner;
  }
  ast::Target out{expect_name(), {}, {}};
  if (accept_op(".")) out.attribute = expect_name();
  return out;
}

ast::Target ExpressionParser::target() {
  ast::Target first = single_target();
  if (!looking_at(Token::op, ",")) return first;
  ast::Target tuple;
  tuple.parts.push_back(std::move(first));
  while (accept_op(",") && !looking_at(Token::name, "in") && !looking_at(Token::op, "=") && !looking_at(Token::op, ")")) {
    tuple.parts.push_back(single_target());
  }
  return tuple;
}

}  // namespace shardline::jinja
