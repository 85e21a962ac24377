// The syntax tree of a template. Operators of one precedence and suffixes of one operand stand side by side, not nested, so that
// the tree is only as deep as the template's own brackets and blocks.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/text/jinja/value.h"

namespace shardline::jinja::ast {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

enum class Op {
  add,
  sub,
  mul,
  div,
  floor_div,
  mod,
  pow,
  concat,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  in,
  not_in,
  logic_and,
  logic_or,
  logic_not,
  neg,
  pos
};

struct Call {
  std::vector<ExpressionPtr> values;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

// What follows an operand.
struct Attribute {
  std::string name;
};
struct Index {
  ExpressionPtr key;
};
struct Slice {
  ExpressionPtr start, stop, step;  // null: left out
};
struct Filter {
  std::string name;
  Call arguments;
};
struct Test {
  std::string name;
  Call arguments;
  bool negated;
};
struct Suffix {
  std::variant<Attribute, Index, Slice, Call, Filter, Test> node;
  int line;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListLiteral {
  std::vector<ExpressionPtr> items;
  bool tuple;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct Postfix {
  ExpressionPtr operand;
  std::vector<Suffix> suffixes;
};
struct Unary {
  Op op;
  ExpressionPtr operand;
};
struct Chain {  // left to right; comparisons each with the operand before
  ExpressionPtr first;
  std::vector<std::pair<Op, ExpressionPtr>> rest;
};
struct Conditional {
  ExpressionPtr condition, then, otherwise;  // otherwise: may be null
};
struct Expression {
  std::variant<Literal, Name, ListLiteral, DictLiteral, Postfix, Unary, Chain, Conditional> node;
  int line;
};

// What `set` and `for` assign to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name, attribute;
  std::vector<Target> parts;
};

struct Data {
  Text text;
};
struct Print {
  ExpressionPtr value;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  std::vector<Suffix> filters;
  Body body;
};
struct FilterBlock {
  std::vector<Suffix> filters;
  Body body;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable, condition;  // condition: may be null
  Body body, otherwise;
};
struct Macro {
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // with defaults, which may be null
  Body body;
};
struct CallBlock {
  Macro caller;
  ExpressionPtr call;  // a Postfix that ends in a Call
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> values;
  Body body;
};
struct LoopControl {
  bool leaves;  // break, otherwise continue
};
struct Statement {
  std::variant<Data, Print, Set, SetBlock, FilterBlock, If, For, Macro, CallBlock, With, LoopControl> node;
  int line;
};

}  // namespace shardline::jinja::ast
