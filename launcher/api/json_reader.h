// JSON from outside, read strictly (RFC 8259): valid UTF-8, no key twice, no NUL, finite numbers, bounded depth, nothing behind the value.
#pragma once
#include <boost/json/value.hpp>

#include <string_view>

#include "engine/base/result.h"

namespace shardline::launcher::api {

inline constexpr std::size_t kJsonDepth = 64;
inline constexpr std::size_t kJsonValues = 1 << 21;  // of one text

// Errors: invalid_argument, with the offset in bytes.
Result<boost::json::value> parse_json(std::string_view text);

}  // namespace shardline::launcher::api
