#include "engine/text/jinja/interpreter.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"

namespace shardline::jinja {

Value* Scope::find(std::string_view name) {
  for (Scope* scope = this; scope; scope = scope->parent.get()) {
    for (auto& [key, value] : scope->values) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  const auto it = std::find_if(values.begin(), values.end(), [&](const auto& entry) { return entry.first == name; });
  if (it == values.end()) {
    values.emplace_back(name, std::move(value));
  } else {
    it->second = std::move(value);
  }
}

Interpreter::Interpreter(std::vector<std::pair<std::string_view, Value>> globals, std::time_t now)
    : scope_(std::make_shared<Scope>(Scope{std::move(globals), nullptr})), root_(scope_), now_(now) {}

Interpreter::~Interpreter() {
  for (const auto& space : namespaces_) space->values.items.clear();
}

Text Interpreter::render(const ast::Body& body) {
  try {
    return capture(body, root_);
  } catch (const TemplateError& error) {
    throw TemplateError(error.what(), line_);
  }
}

void Interpreter::charge(std::size_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) throw TemplateError(fmt::format("the template takes more than {} steps", kMaxSteps));
}

Value Interpreter::limited(Value value) {
  if (const Text* text = value.if_text()) {
    if (text->size() > kMaxText) throw TemplateError(fmt::format("a text has more than {} characters", kMaxText));
    charge_text(text->size());
  } else if (const List* list = value.if_list()) {
    charge(list->items.size() / 16);
  }
  return value;
}

Text Interpreter::string_of(const Value& value) {
  charge_text(extent_of(value).weight);
  return to_string(value);
}

std::vector<Value> Interpreter::items_of(const Value& iterable) {
  if (iterable.is_undefined()) return {};
  if (const List* list = iterable.if_list()) {
    charge(list->items.size() / 16);
    return list->items;
  }
  std::vector<Value> items;
  if (const Dict* dict = iterable.if_dict()) {
    charge(dict->items.size() / 16);
    for (const auto& [key, value] : dict->items) items.push_back(key);
  } else if (const Text* text = iterable.if_text()) {
    charge(text->size() / 4);
    for (const char32_t c : *text) items.emplace_back(Text(1, c));
  } else {
    throw TemplateError(fmt::format("{} cannot be looped over", type_name(iterable)));
  }
  return items;
}

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (const auto* undefined = std::get_if<Undefined>(&object.variant())) throw TemplateError(undefined->why);
  if (Value own = find_attribute(object, name); !own.is_undefined()) return own;
  const Dict* dict = object.if_namespace() ? &object.if_namespace()->values : object.if_dict();
  if (dict) {
    charge(dict->items.size() / 64);
    if (const Value* value = dict->find(name)) return *value;
  }
  return Value::undefined(fmt::format("{} has no attribute '{}'", type_name(object), name));
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (const auto* undefined = std::get_if<Undefined>(&object.variant())) throw TemplateError(undefined->why);
  if (const Dict* dict = object.if_dict()) {
    charge(dict->items.size() / 64);
    if (const Value* value = dict->find(key)) return *value;
  }
  if (const auto index = key.if_int(); index && (object.if_list() || object.if_text())) {
    const auto size = static_cast<std::int64_t>(object.if_list() ? object.if_list()->items.size() : object.if_text()->size());
    const std::int64_t i = *index < 0 ? *index + size : *index;
    if (i < 0 || i >= size) return Value::undefined(fmt::format("{} has no item {}", type_name(object), *index));
    return object.if_list() ? object.if_list()->items[i] : Value(Text(1, (*object.if_text())[i]));
  }
  if (const Text* name = key.if_text()) return attribute(object, to_utf8(*name));
  return Value::undefined(fmt::format("{} has no item of that key", type_name(object)));
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  if (const auto* undefined = std::get_if<Undefined>(&callee.variant())) throw TemplateError(undefined->why);
  const Callable* callable = callee.if_callable();
  if (!callable) throw TemplateError(fmt::format("{} cannot be called", type_name(callee)));
  return limited(callable->call(*this, arguments));
}

Value Interpreter::filter(std::string_view name, Arguments arguments) {
  const Builtin* filter = find_filter(name);
  if (!filter) throw TemplateError(fmt::format("unknown filter '{}'", name));
  charge(1);
  return limited(invoke(*this, *filter, std::move(arguments), 1));
}

bool Interpreter::test(std::string_view name, Arguments arguments) {
  const Builtin* test = find_test(name);
  if (!test) throw TemplateError(fmt::format("unknown test '{}'", name));
  charge(1);
  return truthy(invoke(*this, *test, std::move(arguments), 1));
}

Value Interpreter::make_namespace(Dict values) {
  namespaces_.push_back(std::make_shared<Namespace>(Namespace{std::move(values)}));
  return namespaces_.back();
}

Value Interpreter::evaluate(const ast::Expression& expression) {
  const Inside inside(*this, expression.line);
  return std::visit([this](const auto& node) { return visit(node); }, expression.node);
}

Value Interpreter::visit(const ast::Name& node) {
  if (const Value* value = scope_->find(node.name)) return *value;
  if (Value global = find_global(node.name); !global.is_undefined()) return global;
  return Value::undefined(fmt::format("'{}' is undefined", node.name));
}

Value Interpreter::visit(const ast::ListLiteral& node) {
  List list{{}, node.tuple};
  for (const auto& item : node.items) list.items.push_back(evaluate(*item));
  return list;
}

Value Interpreter::visit(const ast::DictLiteral& node) {
  Dict dict;
  for (const auto& [key, value] : node.items) {
    Value k = evaluate(*key);
    charge(dict.items.size() / 64);
    dict.set(k, evaluate(*value));
  }
  return dict;
}

Value Interpreter::visit(const ast::Postfix& node) {
  Value value = evaluate(*node.operand);
  for (const ast::Suffix& suffix : node.suffixes) value = apply(value, suffix);
  return value;
}

Value Interpreter::visit(const ast::Unary& node) {
  const Value operand = evaluate(*node.operand);
  return node.op == ast::Op::logic_not ? Value(!truthy(operand)) : apply_unary(node.op, operand);
}

Value Interpreter::visit(const ast::Chain& node) {
  using ast::Op;
  const Op first = node.rest.front().first;
  if (first >= Op::eq && first <= Op::not_in) return compare_chain(node);
  Value value = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    if (op == Op::logic_and || op == Op::logic_or) {
      if (truthy(value) == (op == Op::logic_or)) return value;
      value = evaluate(*operand);
    } else if (op == Op::concat) {
      value = limited(string_of(value) + string_of(evaluate(*operand)));
    } else {
      value = limited(apply_arithmetic(op, value, evaluate(*operand)));
    }
  }
  return value;
}

Value Interpreter::compare_chain(const ast::Chain& node) {
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    charge(comparison_cost(op, left, right) / 128);
    if (!apply_comparison(op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::visit(const ast::Conditional& node) {
  if (truthy(evaluate(*node.condition))) return evaluate(*node.then);
  return node.otherwise ? evaluate(*node.otherwise) : Value::undefined("the inline if has no else");
}

Value Interpreter::apply(const Value& operand, const ast::Suffix& suffix) {
  const Inside inside(*this, suffix.line);
  return std::visit([&](const auto& node) { return apply(operand, node); }, suffix.node);
}

Value Interpreter::apply(const Value& operand, const ast::Slice& suffix) {
  const auto bound = [&](const ast::ExpressionPtr& e) { return e ? evaluate(*e) : Value(None()); };
  const Value start = bound(suffix.start), stop = bound(suffix.stop), step = bound(suffix.step);
  return limited(slice(operand, start, stop, step));
}

Value Interpreter::apply(const Value& operand, const ast::Call& suffix) { return call(operand, arguments(suffix)); }

Value Interpreter::apply(const Value& operand, const ast::Filter& suffix) {
  Arguments all = arguments(suffix.arguments);
  all.values.insert(all.values.begin(), operand);
  return filter(suffix.name, std::move(all));
}

Value Interpreter::apply(const Value& operand, const ast::Test& suffix) {
  Arguments all = arguments(suffix.arguments);
  all.values.insert(all.values.begin(), operand);
  return test(suffix.name, std::move(all)) != suffix.negated;
}

Arguments Interpreter::arguments(const ast::Call& call) {
  Arguments out;
  for (const auto& value : call.values) out.values.push_back(evaluate(*value));
  for (const auto& [name, value] : call.named) out.named.emplace_back(name, evaluate(*value));
  return out;
}

}  // namespace shardline::jinja
