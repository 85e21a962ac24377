#include "engine/text/jinja/lexer.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/text/jinja/value.h"
#include "engine/text/utf8.h"

namespace shardline::jinja {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80); }

// Newlines as \n, and the last one gone.
std::string normalized(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
    if (!pair) out += source[i] == '\r' ? '\n' : source[i];
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalized(source)), source_(text_) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    add(Token::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw TemplateError(message, line_); }
  void add(Token::Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  bool looking_at(std::string_view word) const { return source_.substr(at_).starts_with(word); }
  char peek(std::size_t i = 0) const { return at_ + i < source_.size() ? source_[at_ + i] : '\0'; }

  void advance(std::size_t bytes) {
    const std::string_view passed = source_.substr(at_, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += passed.size();
  }
  void skip_space() { advance(std::min(source_.find_first_not_of(kSpace, at_), source_.size()) - at_); }

  // Text up to the next tag, then the tag.
  void data() {
    const auto begins_tag = [&](std::size_t i) {
      return i + 1 < source_.size() && std::string_view("{%#").find(source_[i + 1]) != std::string_view::npos;
    };
    std::size_t open = source_.find('{', at_);
    while (open != std::string_view::npos && !begins_tag(open)) open = source_.find('{', open + 1);
    open = std::min(open, source_.size());
    const bool begins_line = at_ == 0 || source_[at_ - 1] == '\n';
    const std::size_t begin = at_;
    const int first_line = line_;
    const auto add_data = [&](char kind, char sign) { add_text(source_.substr(begin, open - begin), begins_line, kind, sign, first_line); };
    advance(open - at_);
    if (at_ == source_.size()) return add_data('\0', '\0');

    const char kind = peek(1), sign = peek(2);
    add_data(kind, sign);
    advance(sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    add(kind == '{' ? Token::print_begin : Token::tag_begin, "");
    expression_tokens(kind == '{' ? "}}" : "%}");
    add(kind == '{' ? Token::print_end : Token::tag_end, "");
  }

  // `kind` and `sign` of the tag that follows say what becomes of the white space before it.
  void add_text(std::string_view text, bool begins_line, char kind, char sign, int line) {
    if (sign == '-' && kind) {
      text = text.substr(0, text.find_last_not_of(kSpace) + 1);
    } else if (sign != '+' && (kind == '%' || kind == '#')) {
      const std::size_t line_begin = text.rfind('\n') + 1;
      if ((line_begin > 0 || begins_line) && text.find_first_not_of(kSpace, line_begin) == std::string_view::npos)
        text = text.substr(0, line_begin);
    }
    if (!text.empty()) tokens_.push_back({Token::data, std::string(text), line});
  }

  // Behind a tag: "-" takes white space away, "+" leaves everything, else a newline goes (trim_blocks).
  void after_tag(char sign, bool trim) {
    if (sign == '-') return skip_space();
    if (sign != '+' && trim && peek() == '\n') advance(1);
  }

  void comment() {
    const std::size_t close = source_.find("#}", at_);
    if (close == std::string_view::npos) fail("a comment has no end");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    advance(close + 2 - at_);
    after_tag(sign, true);
  }

  // After "{%": takes `word` and the end of the tag, if that is what stands there.
  std::optional<char> whole_tag(std::string_view word) {
    const auto skip = [&](std::size_t i) { return std::min(source_.find_first_not_of(kSpace, i), source_.size()); };
    std::size_t i = skip(at_);
    if (!source_.substr(i).starts_with(word)) return std::nullopt;
    i = skip(i + word.size());
    const char sign = i < source_.size() && (source_[i] == '-' || source_[i] == '+') ? source_[i++] : ' ';
    if (!source_.substr(i).starts_with("%}")) return std::nullopt;
    advance(i + 2 - at_);
    return sign;
  }

  bool raw() {
    const std::optional<char> sign = whole_tag("raw");
    if (!sign) return false;
    after_tag(*sign, false);
    const std::size_t begin = at_;
    const bool begins_line = at_ == 0 || source_[at_ - 1] == '\n';
    const int first_line = line_;
    for (std::size_t open; (open = source_.find("{%", at_)) != std::string_view::npos;) {
      advance(open + 2 - at_);
      const char before = peek() == '-' || peek() == '+' ? peek() : '\0';
      if (before) advance(1);
      const std::optional<char> after = whole_tag("endraw");
      if (!after) continue;
      add_text(source_.substr(begin, open - begin), begins_line, '%', before, first_line);
      after_tag(*after, true);
      return true;
    }
    fail("raw has no endraw");
  }

  // Up to and with `close`, which brackets hide.
  void expression_tokens(std::string_view close) {
    std::string brackets;
    for (skip_space(); at_ < source_.size(); skip_space()) {
      const char sign = peek() == '-' || (peek() == '+' && close == "%}") ? peek() : '\0';
      if (brackets.empty() && source_.substr(at_ + (sign ? 1 : 0)).starts_with(close)) {
        advance(sign ? 3 : 2);
        return after_tag(sign, close == "%}");
      }
      const char c = peek();
      if (is_digit(c)) {
        number();
      } else if (is_name(c)) {
        std::size_t n = 1;
        while (is_name(peek(n))) ++n;
        add(Token::name, std::string(source_.substr(at_, n)));
        advance(n);
      } else if (c == '"' || c == '\'') {
        string(c);
      } else {
        op(brackets);
      }
    }
    fail(fmt::format("a tag has no '{}'", close));
  }

  void number() {
    const bool after_dot = !tokens_.empty() && tokens_.back().kind == Token::op && tokens_.back().text == ".";
    std::size_t n = 0;
    const auto digits = [&] {
      while (is_digit(peek(n)) || (peek(n) == '_' && is_digit(peek(n + 1)))) ++n;
    };
    digits();
    bool floating = false;
    if (!after_dot && peek(n) == '.' && is_digit(peek(n + 1))) {
      floating = true;
      ++n;
      digits();
    }
    const bool exponent =
        (peek(n) | 0x20) == 'e' && (is_digit(peek(n + 1)) || ((peek(n + 1) == '-' || peek(n + 1) == '+') && is_digit(peek(n + 2))));
    if (!after_dot && exponent) {
      floating = true;
      n += 2;
      digits();
    }
    std::string text(source_.substr(at_, n));
    std::erase(text, '_');
    add(floating ? Token::floating : Token::integer, text);
    advance(n);
  }

  void op(std::string& brackets) {
    static constexpr std::string_view kPairs[] = {"//", "**", "==", "!=", "<=", ">="};
    const std::string_view two = source_.substr(at_, 2);
    const std::size_t n = std::find(std::begin(kPairs), std::end(kPairs), two) != std::end(kPairs) ? 2 : 1;
    const char c = peek();
    if (n == 1 && std::string_view("+-/*%~[](){}<>=.:|,;").find(c) == std::string_view::npos)
      fail(fmt::format("unexpected character '{}'", c));
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) fail(fmt::format("unexpected '{}'", c));
      brackets.pop_back();
    }
    add(Token::op, std::string(two.substr(0, n)));
    advance(n);
  }

  // Escapes as Python's.
  void string(char quote) {
    const int first_line = line_;
    std::string out;
    for (advance(1); peek() != quote || at_ >= source_.size();) {
      if (at_ >= source_.size()) throw TemplateError("a string has no end", first_line);
      if (peek() == '\\') {
        advance(1);
        escape(out);
      } else {
        out += peek();
        advance(1);
      }
    }
    advance(1);
    tokens_.push_back({Token::string, std::move(out), first_line});
  }

  void escape(std::string& out) {
    static constexpr std::string_view kLetters = "ntrabfv0\\'\"", kMeanings("\n\t\r\a\b\f\v\0\\'\"", 11);
    const char c = peek();
    const std::size_t simple = kLetters.find(c);
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    advance(1);
    if (digits > 0) {
      char32_t code = 0;
      for (std::size_t i = 0; i < digits; ++i, advance(1)) {
        const std::size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(is_digit(peek()) ? peek() : peek() | 0x20));
        if (digit == std::string_view::npos) fail("a broken escape in a string");
        code = code << 4 | static_cast<char32_t>(digit);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail("an escape that is no character");
      append_utf8(out, code);
    } else if (simple != std::string_view::npos) {
      out += kMeanings[simple];
    } else if (c != '\n') {  // a newline that is escaped is none
      out += '\\';
      out += c;
    }
  }

  const std::string text_;
  const std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace shardline::jinja
