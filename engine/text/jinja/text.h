// Text whose every character remembers whether the template wrote it or a message brought it in, through whatever slices, filters
// and concatenations it goes.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tokenizer.h"

namespace shardline::jinja {

inline constexpr char32_t kForeign = 1u << 31;  // set in characters that come from a message

constexpr char32_t code_of(char32_t c) { return c & ~kForeign; }

// Compares characters without their origin, so that the functions of std::basic_string do too.
struct OriginBlind : std::char_traits<char32_t> {
  static constexpr bool eq(char32_t a, char32_t b) { return code_of(a) == code_of(b); }
  static constexpr bool lt(char32_t a, char32_t b) { return code_of(a) < code_of(b); }
  static constexpr int compare(const char32_t* a, const char32_t* b, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      if (!eq(a[i], b[i])) return lt(a[i], b[i]) ? -1 : 1;
    }
    return 0;
  }
  static constexpr const char32_t* find(const char32_t* text, std::size_t n, const char32_t& c) {
    for (std::size_t i = 0; i < n; ++i) {
      if (eq(text[i], c)) return text + i;
    }
    return nullptr;
  }
};

// Code points. A byte b that is not UTF-8 is the character 0xDC00 + b, and comes out as it went in.
using Text = std::basic_string<char32_t, OriginBlind>;
using TextView = std::basic_string_view<char32_t, OriginBlind>;

Text to_text(std::string_view utf8, bool foreign = false);
std::string to_utf8(TextView text);
std::vector<TextPiece> to_pieces(TextView text);  // cut where the origin changes; what the template wrote parses special tokens

// What finding a text in another may cost, in characters: basic_string searches in their product at worst.
constexpr std::size_t search_cost(std::size_t text, std::size_t pattern) { return text + text / 64 * (pattern / 64); }

// As Python's str has them.
bool is_space(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_letter(char32_t c);
char32_t to_upper(char32_t c);
char32_t to_lower(char32_t c);
TextView strip(TextView text, bool left, bool right);
TextView strip(TextView text, bool left, bool right, TextView characters);
std::vector<TextView> split_lines(TextView text);
std::vector<TextView> split_words(TextView text, std::size_t max_splits);                      // at runs of white space
std::vector<TextView> split(TextView text, TextView separator, std::size_t max_splits);        // separator is not empty
std::vector<TextView> split_right(TextView text, TextView separator, std::size_t max_splits);  // counts splits from the end

}  // namespace shardline::jinja
