#include "engine/text/byte_alphabet.h"

#include <array>

#include "engine/text/utf8.h"

namespace shardline {
namespace {

constexpr int kLetters = 256 + 68;  // 68 bytes are not printable and take the characters from U+0100 on

struct Alphabet {
  std::array<char32_t, 256> letter{};
  std::array<int, kLetters> byte{};  // -1: not in the alphabet

  constexpr Alphabet() {
    byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      letter[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[letter[b]] = b;
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::optional<std::string> bytes_of_token(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  while (!token.empty()) {
    const Utf8Char c = next_utf8(token);
    if (c.kind != Utf8Char::valid || c.code >= kLetters || kAlphabet.byte[c.code] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c.code]);
    token.remove_prefix(c.bytes);
  }
  return bytes;
}

std::string token_of_byte(unsigned char byte) {
  std::string out;
  append_utf8(out, kAlphabet.letter[byte]);
  return out;
}

}  // namespace shardline
