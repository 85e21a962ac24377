// The statements of a template.
#include <fmt/core.h>

#include <algorithm>

#include "engine/text/jinja/interpreter.h"

namespace shardline::jinja {

Interpreter::Flow Interpreter::execute(const ast::Body& body) {
  for (const ast::Statement& statement : body) {
    const Inside inside(*this, statement.line);
    const Flow flow = std::visit([this](const auto& node) { return visit(node); }, statement.node);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

void Interpreter::emit(TextView text) {
  charge_text(text.size());
  if (out_->size() + text.size() > kMaxText) throw TemplateError(fmt::format("the output has more than {} characters", kMaxText));
  out_->append(text);
}

// What a body writes. After an exception nothing more is rendered, so nothing is put back then.
Text Interpreter::capture(const ast::Body& body, std::shared_ptr<Scope> scope) {
  Text text;
  Text* const outer_out = std::exchange(out_, &text);
  scope_.swap(scope);
  execute(body);
  scope_.swap(scope);
  out_ = outer_out;
  return text;
}

std::shared_ptr<Scope> Interpreter::inner_scope() const { return std::make_shared<Scope>(Scope{{}, scope_}); }

Interpreter::Flow Interpreter::visit(const ast::Data& node) {
  emit(node.text);
  return Flow::normal;
}

Interpreter::Flow Interpreter::visit(const ast::Print& node) {
  const Value value = evaluate(*node.value);
  if (const Text* text = value.if_text()) {
    emit(*text);
  } else {
    emit(string_of(value));
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::visit(const ast::Set& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::normal;
}

Interpreter::Flow Interpreter::visit(const ast::SetBlock& node) {
  assign(node.target, filtered(capture(node.body, inner_scope()), node.filters));
  return Flow::normal;
}

Interpreter::Flow Interpreter::visit(const ast::FilterBlock& node) {
  emit(string_of(filtered(capture(node.body, inner_scope()), node.filters)));
  return Flow::normal;
}

Value Interpreter::filtered(Value value, std::span<const ast::Suffix> filters) {
  for (const ast::Suffix& suffix : filters) value = apply(value, suffix);
  return value;
}

Interpreter::Flow Interpreter::visit(const ast::If& node) {
  for (const auto& [condition, body] : node.branches) {
    if (truthy(evaluate(*condition))) return execute(body);
  }
  return execute(node.otherwise);
}

Interpreter::Flow Interpreter::visit(const ast::For& node) {
  const auto outer = scope_;
  const auto restore = [&](Flow flow) {
    scope_ = outer;
    return flow;
  };
  const auto loop = std::make_shared<Loop>();
  for (Value& item : items_of(evaluate(*node.iterable))) {
    if (node.condition) {
      scope_ = std::make_shared<Scope>(Scope{{}, outer});
      assign(node.target, item);
      if (!truthy(evaluate(*node.condition))) continue;
    }
    loop->items.push_back(std::move(item));
  }
  loop->extent = extent_around(loop->items);

  bool ran = false;  // Jinja's else also follows where break or continue ended every round
  for (; loop->index < loop->items.size(); ++loop->index) {
    scope_ = std::make_shared<Scope>(Scope{{{"loop", loop}}, outer});
    assign(node.target, loop->items[loop->index]);
    const Flow flow = execute(node.body);
    ran |= flow == Flow::normal;
    if (flow == Flow::leave) break;
  }
  if (ran) return restore(Flow::normal);
  scope_ = std::make_shared<Scope>(Scope{{}, outer});
  return restore(execute(node.otherwise));
}

Interpreter::Flow Interpreter::visit(const ast::With& node) {
  std::vector<Value> values;  // all of them before any name is set
  for (const auto& [target, value] : node.values) values.push_back(evaluate(*value));
  const auto outer = std::exchange(scope_, inner_scope());
  for (std::size_t i = 0; i < values.size(); ++i) assign(node.values[i].first, std::move(values[i]));
  const Flow flow = execute(node.body);
  scope_ = outer;
  return flow;
}

Interpreter::Flow Interpreter::visit(const ast::Macro& node) {
  scope_->set(node.name, macro(node));
  return Flow::normal;
}

Interpreter::Flow Interpreter::visit(const ast::CallBlock& node) {
  const auto& postfix = std::get<ast::Postfix>(node.call->node);
  const std::span<const ast::Suffix> suffixes = postfix.suffixes;
  const Value callee = filtered(evaluate(*postfix.operand), suffixes.first(suffixes.size() - 1));
  Arguments all = arguments(std::get<ast::Call>(suffixes.back().node));
  all.named.emplace_back("caller", macro(node.caller));
  emit(string_of(call(callee, all)));
  return Flow::normal;
}

// A macro sees the names around its definition, not those around its call. It does not keep its scope alive, which holds it.
Value Interpreter::macro(const ast::Macro& node) {
  Callable callable{node.name, {}};
  callable.call = [&node, definition = std::weak_ptr<Scope>(scope_)](Interpreter& in, const Arguments& arguments) {
    const auto scope = definition.lock();
    return in.call_macro(node, scope ? scope : in.root_, arguments);
  };
  return std::make_shared<const Callable>(std::move(callable));
}

Value Interpreter::call_macro(const ast::Macro& node, std::shared_ptr<Scope> around, const Arguments& arguments) {
  if (arguments.values.size() > node.parameters.size()) {
    throw TemplateError(fmt::format("macro '{}' takes {} arguments, not {}", node.name, node.parameters.size(), arguments.values.size()));
  }
  const auto scope = std::make_shared<Scope>(Scope{{}, std::move(around)});
  const auto caller = std::exchange(scope_, scope);  // defaults may name the parameters before them
  for (const auto& [name, value] : arguments.named) {
    const auto& parameters = node.parameters;
    const auto it = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return p.first == name; });
    if (it == parameters.end() && name != "caller") throw TemplateError(fmt::format("macro '{}' has no parameter '{}'", node.name, name));
    scope->set(it == parameters.end() ? std::string_view("caller") : std::string_view(it->first), value);
  }
  for (std::size_t i = 0; i < node.parameters.size(); ++i) {
    const auto& [name, fallback] = node.parameters[i];
    const bool named = std::any_of(scope->values.begin(), scope->values.end(), [&](const auto& v) { return v.first == name; });
    if (i < arguments.values.size()) {
      scope->set(name, arguments.values[i]);
    } else if (!named) {
      scope->set(name, fallback ? evaluate(*fallback) : Value::undefined(fmt::format("parameter '{}' was not given", name)));
    }
  }
  scope_ = caller;
  return capture(node.body, scope);
}

void Interpreter::assign(const ast::Target& target, Value value) {
  if (!target.parts.empty()) {
    std::vector<Value> items = items_of(value);
    if (items.size() != target.parts.size()) {
      throw TemplateError(fmt::format("{} values for {} names", items.size(), target.parts.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], std::move(items[i]));
  } else if (target.attribute.empty()) {
    scope_->set(target.name, std::move(value));
  } else {
    const Value* object = scope_->find(target.name);
    Namespace* space = object ? object->if_namespace() : nullptr;
    if (!space) throw TemplateError(fmt::format("'{}' is not a namespace: its attributes cannot be set", target.name));
    space->values.set(target.attribute, std::move(value));
  }
}

}  // namespace shardline::jinja
