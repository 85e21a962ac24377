// Walks the syntax tree. What a template may do is bounded in steps, depth and size; it reaches nothing but its arguments.
#pragma once
#include <ctime>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/value.h"

namespace shardline::jinja {

inline constexpr std::size_t kMaxSteps = 1'000'000;  // a node of the tree, or 128 characters worked on
inline constexpr int kMaxDepth = 400;                // nodes inside each other, through macros too

struct Scope {
  std::vector<std::pair<std::string_view, Value>> values;  // names live in the tree
  std::shared_ptr<Scope> parent;

  Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};

class Interpreter {
 public:
  // `now`: what strftime_now formats.
  Interpreter(std::vector<std::pair<std::string_view, Value>> globals, std::time_t now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;

  Text render(const ast::Body& body);  // throws TemplateError, with the line

  // For filters, tests and functions.
  void charge(std::size_t steps);
  void charge_text(std::size_t characters) { charge(characters / 128); }
  std::time_t now() const { return now_; }
  Text string_of(const Value& value);                  // str(), charged
  std::vector<Value> items_of(const Value& iterable);  // what a for loop sees
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& callee, const Arguments& arguments);
  Value filter(std::string_view name, Arguments arguments);
  bool test(std::string_view name, Arguments arguments);
  Value make_namespace(Dict values);

 private:
  enum class Flow { normal, leave, again };  // break, continue

  // A node being worked on, and where in the template it stands.
  class Inside {
   public:
    Inside(Interpreter& interpreter, int line) : depth_(interpreter.depth_) {
      interpreter.line_ = line;
      interpreter.charge(1);
      if (++depth_ > kMaxDepth) throw TemplateError("macros call each other too deep");
    }
    ~Inside() { --depth_; }
    Inside(const Inside&) = delete;

   private:
    int& depth_;
  };

  Value evaluate(const ast::Expression& expression);
  Value visit(const ast::Literal& node) { return node.value; }
  Value visit(const ast::Name& node);
  Value visit(const ast::ListLiteral& node);
  Value visit(const ast::DictLiteral& node);
  Value visit(const ast::Postfix& node);
  Value visit(const ast::Unary& node);
  Value visit(const ast::Chain& node);
  Value visit(const ast::Conditional& node);
  Value compare_chain(const ast::Chain& node);

  Value apply(const Value& operand, const ast::Suffix& suffix);
  Value apply(const Value& operand, const ast::Attribute& suffix) { return attribute(operand, suffix.name); }
  Value apply(const Value& operand, const ast::Index& suffix) { return item(operand, evaluate(*suffix.key)); }
  Value apply(const Value& operand, const ast::Slice& suffix);
  Value apply(const Value& operand, const ast::Call& suffix);
  Value apply(const Value& operand, const ast::Filter& suffix);
  Value apply(const Value& operand, const ast::Test& suffix);
  Arguments arguments(const ast::Call& call);

  Flow execute(const ast::Body& body);  // this and what follows: statements.cpp
  Flow visit(const ast::Data& node);
  Flow visit(const ast::Print& node);
  Flow visit(const ast::Set& node);
  Flow visit(const ast::SetBlock& node);
  Flow visit(const ast::FilterBlock& node);
  Flow visit(const ast::If& node);
  Flow visit(const ast::For& node);
  Flow visit(const ast::Macro& node);
  Flow visit(const ast::CallBlock& node);
  Flow visit(const ast::With& node);
  Flow visit(const ast::LoopControl& node) { return node.leaves ? Flow::leave : Flow::again; }

  void emit(TextView text);
  Text capture(const ast::Body& body, std::shared_ptr<Scope> scope);
  std::shared_ptr<Scope> inner_scope() const;
  Value filtered(Value value, std::span<const ast::Suffix> filters);
  void assign(const ast::Target& target, Value value);
  Value macro(const ast::Macro& node);
  Value call_macro(const ast::Macro& node, std::shared_ptr<Scope> around, const Arguments& arguments);
  Value limited(Value value);

  std::shared_ptr<Scope> scope_, root_;
  Text* out_ = nullptr;
  std::time_t now_;
  std::size_t steps_ = 0;
  int depth_ = 0, line_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;  // emptied at the end: they may hold each other
};

}  // namespace shardline::jinja
