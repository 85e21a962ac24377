#include "engine/text/jinja/parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>

#include "engine/text/jinja/expression_parser.h"

namespace shardline::jinja {
namespace {

using ast::Body;
using ast::Statement;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body run() {
    Body body;
    statements(body, {});
    return body;
  }

 private:
  // Up to a tag with one of the words in `ends`, whose word is taken and returned; with no words, up to the end.
  std::string statements(Body& body, std::initializer_list<std::string_view> ends) {
    const Nested nested(*this);
    while (current().kind != Token::end) {
      const Token token = take();
      if (token.kind == Token::data) {
        body.push_back({ast::Data{to_text(token.text)}, token.line});
      } else if (token.kind == Token::print_begin) {
        body.push_back({ast::Print{tuple_or_expression()}, token.line});
        expect(Token::print_end);
      } else {
        const std::string word = expect_name();
        if (std::find(ends.begin(), ends.end(), word) != ends.end()) return word;
        statement(word, token.line, body);
        expect(Token::tag_end);
      }
    }
    if (ends.size() > 0) fail(fmt::format("the template ends without '{}'", *(ends.end() - 1)));
    return "";
  }

  // A body after its tag; the tag that ends it is taken but for its end.
  Body block(std::string_view end) {
    Body body;
    expect(Token::tag_end);
    statements(body, {end});
    return body;
  }

  void expect(Token::Kind kind) {
    if (current().kind != kind) fail(fmt::format("unexpected '{}' in a tag", current().text));
    take();
  }

  void statement(const std::string& word, int line, Body& body) {
    const auto add = [&](auto node) { body.push_back({std::move(node), line}); };
    if (word == "set") {
      add_set(line, body);
    } else if (word == "if") {
      add(conditional());
    } else if (word == "for") {
      add(loop());
    } else if (word == "macro") {
      ast::Macro macro{expect_name(), parameters(), {}};
      macro.body = block("endmacro");
      add(std::move(macro));
    } else if (word == "call") {
      add(call_block());
    } else if (word == "filter") {
      ast::FilterBlock filter{filters_after_bar(), {}};
      filter.body = block("endfilter");
      add(std::move(filter));
    } else if (word == "with") {
      add(with());
    } else if (word == "generation") {  // marks what the assistant said, for training; renders as if it were not there
      add(ast::With{{}, block("endgeneration")});
    } else if (word == "print") {
      add(ast::Print{tuple_or_expression()});
    } else if (word == "break" || word == "continue") {
      if (loops_ == 0) fail(fmt::format("'{}' outside of a loop", word));
      add(ast::LoopControl{word == "break"});
    } else {
      fail(fmt::format("unknown tag '{}'", word));
    }
  }

  void add_set(int line, Body& body) {
    ast::Target to = target();
    if (accept_op("=")) {
      body.push_back({ast::Set{std::move(to), tuple_or_expression()}, line});
    } else {
      ast::SetBlock set{std::move(to), filters(), {}};
      set.body = block("endset");
      body.push_back({std::move(set), line});
    }
  }

  ast::If conditional() {
    ast::If node;
    std::string word;
    do {
      ast::ExpressionPtr condition = tuple_or_expression(false);
      expect(Token::tag_end);
      Body body;
      word = statements(body, {"elif", "else", "endif"});
      node.branches.emplace_back(std::move(condition), std::move(body));
    } while (word == "elif");
    if (word == "else") node.otherwise = block("endif");
    return node;
  }

  ast::For loop() {
    ast::For node{target(), nullptr, nullptr, {}, {}};
    if (!accept_name("in")) fail("expected 'in'");
    node.iterable = tuple_or_expression(false);
    if (accept_name("if")) node.condition = expression();
    if (looking_at(Token::name, "recursive")) fail("recursive loops are not supported");
    expect(Token::tag_end);
    ++loops_;
    const std::string word = statements(node.body, {"else", "endfor"});
    --loops_;
    if (word == "else") node.otherwise = block("endfor");
    return node;
  }

  std::vector<std::pair<std::string, ast::ExpressionPtr>> parameters() {
    std::vector<std::pair<std::string, ast::ExpressionPtr>> out;
    expect_op("(");
    while (!looking_at(Token::op, ")")) {
      std::string name = expect_name();
      out.emplace_back(std::move(name), accept_op("=") ? expression() : nullptr);
      if (!looking_at(Token::op, ")")) expect_op(",");
    }
    take();
    return out;
  }

  ast::CallBlock call_block() {
    ast::CallBlock node{{"caller", {}, {}}, nullptr};
    if (looking_at(Token::op, "(")) node.caller.parameters = parameters();
    node.call = expression();
    const auto* postfix = std::get_if<ast::Postfix>(&node.call->node);
    if (!postfix || !std::holds_alternative<ast::Call>(postfix->suffixes.back().node)) fail("expected a call");
    node.caller.body = block("endcall");
    return node;
  }

  ast::With with() {
    ast::With node;
    while (current().kind != Token::tag_end) {
      if (!node.values.empty()) expect_op(",");
      ast::Target to = single_target();
      expect_op("=");
      node.values.emplace_back(std::move(to), expression());
    }
    node.body = block("endwith");
    return node;
  }

  int loops_ = 0;
};

}  // namespace

ast::Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

}  // namespace shardline::jinja
