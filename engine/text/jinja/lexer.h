// Cuts a template into tokens, with the white space rules of Jinja 3.1 as transformers sets it: trim_blocks, lstrip_blocks,
// no trailing newline.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace shardline::jinja {

struct Token {
  enum Kind { data, print_begin, print_end, tag_begin, tag_end, name, string, integer, floating, op, end } kind;
  std::string text;  // strings: unescaped
  int line;
};

std::vector<Token> tokenize(std::string_view source);  // throws TemplateError

}  // namespace shardline::jinja
