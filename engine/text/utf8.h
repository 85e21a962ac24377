// UTF-8, one character at a time (Unicode 15, table 3-7).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace shardline {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Utf8Char {
  enum Kind { valid, invalid, truncated } kind;  // truncated: the text ends where the character could still go on
  std::size_t bytes;                             // of the character, or of the longest part of it that is there
  char32_t code;                                 // where valid
};

// The character at the beginning of `text`, which is not empty.
constexpr Utf8Char next_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {Utf8Char::valid, 1, lead};
  const std::size_t bytes = lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
  if (bytes == 0) return {Utf8Char::invalid, 1, 0};
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;   // no overlong forms
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;  // no surrogates, nothing above U+10FFFF
  char32_t code = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i, low = 0x80, high = 0xBF) {
    if (i == text.size()) return {Utf8Char::truncated, i, 0};
    if (byte(i) < low || byte(i) > high) return {Utf8Char::invalid, i, 0};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {Utf8Char::valid, bytes, code};
}

inline void append_utf8(std::string& out, char32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6), tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12), tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18), tail(12), tail(6), tail(0);
  }
}

}  // namespace shardline
