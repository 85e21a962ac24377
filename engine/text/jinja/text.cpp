#include "engine/text/jinja/text.h"

#include <clocale>
#include <cwctype>

#include "engine/text/utf8.h"

namespace shardline::jinja {
namespace {

constexpr char32_t kRawByte = 0xDC00;

void append_utf8_or_byte(std::string& out, char32_t c) {
  const char32_t code = code_of(c);
  if (code >= kRawByte + 0x80 && code <= kRawByte + 0xFF) {
    out += static_cast<char>(code - kRawByte);
  } else {
    append_utf8(out, code);
  }
}

// Letters of all scripts, independent of the locale of the process. Where the system has no C.UTF-8, ASCII only.
locale_t unicode_locale() {
  static const locale_t locale = [] {
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8 ? utf8 : newlocale(LC_CTYPE_MASK, "C", nullptr);
  }();
  return locale;
}

wint_t wide(char32_t c) { return static_cast<wint_t>(code_of(c)); }

}  // namespace

Text to_text(std::string_view utf8, bool foreign) {
  const char32_t origin = foreign ? kForeign : 0;
  Text text;
  text.reserve(utf8.size());
  while (!utf8.empty()) {
    const Utf8Char c = next_utf8(utf8);
    if (c.kind == Utf8Char::valid) {
      text += c.code | origin;
    } else {
      for (std::size_t i = 0; i < c.bytes; ++i) text += (kRawByte + static_cast<unsigned char>(utf8[i])) | origin;
    }
    utf8.remove_prefix(c.bytes);
  }
  return text;
}

std::string to_utf8(TextView text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8_or_byte(out, c);
  return out;
}

std::vector<TextPiece> to_pieces(TextView text) {
  std::vector<TextPiece> pieces;
  for (const char32_t c : text) {
    const bool ours = (c & kForeign) == 0;
    if (pieces.empty() || pieces.back().parse_special != ours) pieces.push_back({"", ours});
    append_utf8_or_byte(pieces.back().text, c);
  }
  return pieces;
}

bool is_space(char32_t c) {
  c = code_of(c);
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_upper(char32_t c) { return iswupper_l(wide(c), unicode_locale()) != 0; }
bool is_lower(char32_t c) { return iswlower_l(wide(c), unicode_locale()) != 0; }
bool is_letter(char32_t c) { return iswalpha_l(wide(c), unicode_locale()) != 0; }
char32_t to_upper(char32_t c) { return static_cast<char32_t>(towupper_l(wide(c), unicode_locale())) | (c & kForeign); }
char32_t to_lower(char32_t c) { return static_cast<char32_t>(towlower_l(wide(c), unicode_locale())) | (c & kForeign); }

namespace {

template <class IsStripped>
TextView strip_if(TextView text, bool left, bool right, IsStripped is_stripped) {
  while (left && !text.empty() && is_stripped(text.front())) text.remove_prefix(1);
  while (right && !text.empty() && is_stripped(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

TextView strip(TextView text, bool left, bool right) { return strip_if(text, left, right, is_space); }
TextView strip(TextView text, bool left, bool right, TextView characters) {
  return strip_if(text, left, right, [&](char32_t c) { return characters.find(c) != TextView::npos; });
}

std::vector<TextView> split_lines(TextView text) {
  const auto ends_line = [](char32_t c) {
    c = code_of(c);
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<TextView> lines;
  while (!text.empty()) {
    std::size_t end = 0;
    while (end < text.size() && !ends_line(text[end])) ++end;
    lines.push_back(text.substr(0, end));
    const bool pair = end + 1 < text.size() && code_of(text[end]) == '\r' && code_of(text[end + 1]) == '\n';
    text.remove_prefix(std::min(text.size(), end + (pair ? 2 : 1)));
  }
  return lines;
}

std::vector<TextView> split_words(TextView text, std::size_t max_splits) {
  std::vector<TextView> words;
  for (text = strip(text, true, false); !text.empty(); text = strip(text, true, false)) {
    if (words.size() == max_splits) {
      words.push_back(strip(text, false, true));
      break;
    }
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

std::vector<TextView> split(TextView text, TextView separator, std::size_t max_splits) {
  std::vector<TextView> parts;
  for (std::size_t at; parts.size() < max_splits && (at = text.find(separator)) != TextView::npos;) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<TextView> split_right(TextView text, TextView separator, std::size_t max_splits) {
  std::vector<TextView> parts;
  for (std::size_t at; parts.size() < max_splits && (at = text.rfind(separator)) != TextView::npos;) {
    parts.insert(parts.begin(), text.substr(at + separator.size()));
    text.remove_suffix(text.size() - at);
  }
  parts.insert(parts.begin(), text);
  return parts;
}

}  // namespace shardline::jinja
