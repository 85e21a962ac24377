// GPT-2's printable alphabet for bytes (Radford et al. 2019): vocabularies write byte 0x20 as U+0120 and so on.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace shardline {

// The bytes that a vocabulary entry stands for; nothing where a character is outside the alphabet.
std::optional<std::string> bytes_of_token(std::string_view token);

// How a vocabulary writes one byte, in UTF-8.
std::string token_of_byte(unsigned char byte);

}  // namespace shardline
