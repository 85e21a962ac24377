// Recursive descent over the tokens of a template: expressions. Statements: parser.cpp.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"

namespace shardline::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  // Bounds the recursion of the parser, and with it the depth of the tree.
  class Nested {
   public:
    explicit Nested(ExpressionParser& parser) : depth_(&parser.depth_) {
      if (++*depth_ > kMaxDepth) parser.fail("brackets and blocks nest too deep");
    }
    ~Nested() { --*depth_; }
    Nested(const Nested&) = delete;

   private:
    static constexpr int kMaxDepth = 100;
    int* depth_;
  };

  [[noreturn]] void fail(const std::string& message) const;
  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool looking_at(Token::Kind kind, std::string_view text) const { return current().kind == kind && current().text == text; }
  bool accept(Token::Kind kind, std::string_view text);
  bool accept_op(std::string_view text) { return accept(Token::op, text); }
  bool accept_name(std::string_view text) { return accept(Token::name, text); }
  void expect_op(std::string_view text);
  std::string expect_name();

  ast::ExpressionPtr expression(bool conditional = true);
  ast::ExpressionPtr tuple_or_expression(bool conditional = true);  // up to a comma list's end, without brackets around it
  ast::ExpressionPtr primary();
  std::vector<ast::Suffix> filters();  // "|a|b(c)"; with none of them, empty
  std::vector<ast::Suffix> filters_after_bar();
  ast::Target target();  // with commas: a tuple
  ast::Target single_target();

 private:
  ast::ExpressionPtr binary(int level);
  std::optional<ast::Op> accept_operator(int level);
  ast::ExpressionPtr unary(bool with_filters);
  ast::ExpressionPtr name_or_constant();
  ast::ExpressionPtr list();
  ast::ExpressionPtr dict();
  void add_postfix(std::vector<ast::Suffix>& suffixes);
  void add_filters_and_tests(std::vector<ast::Suffix>& suffixes);
  ast::Suffix subscript();
  ast::Suffix filter();
  ast::Suffix test();
  ast::Call call();

  bool at_end_of_tuple() const;

  std::vector<Token> tokens_;  // the last is `end`
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace shardline::jinja
