#include "launcher/api/fields.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>

namespace shardline::launcher::api {

namespace json = boost::json;

std::optional<std::int64_t> whole_number(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return {};
  const double d = value.get_double();
  if (d != std::floor(d) || std::abs(d) > 9e15) return {};
  return static_cast<std::int64_t>(d);
}

std::optional<std::vector<TokenId>> token_ids(const json::value& value, int vocab) {
  if (!value.is_array()) return {};
  std::vector<TokenId> ids;
  ids.reserve(value.get_array().size());
  for (const json::value& item : value.get_array()) {
    const auto id = whole_number(item);
    if (!id || *id < 0 || *id >= vocab) return {};
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

const json::value* Fields::find(std::string_view key) const {
  const json::value* value = object_.if_contains(key);
  return value && !value->is_null() ? value : nullptr;
}

double Fields::number(std::string_view key, double fallback, double low, double high) {
  const json::value* value = find(key);
  if (!value) return fallback;
  const double d = value->is_number() ? value->to_number<double>() : NAN;
  if (d >= low && d <= high) return d;
  refuse(key, fmt::format("must be a number from {} to {}", low, high));
  return fallback;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t fallback, std::int64_t low, std::int64_t high) {
  const json::value* value = find(key);
  if (!value) return fallback;
  const auto i = whole_number(*value);
  if (i && *i >= low && *i <= high) return *i;
  refuse(key, fmt::format("must be a whole number from {} to {}", low, high));
  return fallback;
}

bool Fields::boolean(std::string_view key, bool fallback) {
  const json::value* value = find(key);
  if (!value) return fallback;
  if (value->is_bool()) return value->get_bool();
  refuse(key, "must be true or false");
  return fallback;
}

std::string Fields::text(std::string_view key, std::size_t most_bytes) {
  const json::value* value = find(key);
  if (!value) return {};
  if (value->is_string() && value->get_string().size() <= most_bytes) return std::string(value->get_string());
  refuse(key, fmt::format("must be a string of at most {} bytes", most_bytes));
  return {};
}

void Fields::refuse(std::string_view key, std::string_view why, std::string_view code) {
  if (fault_) return;
  const std::string param = path_ + std::string(key);
  fault_ = ApiError{.message = fmt::format("{} {}", param, why), .param = param, .code = std::string(code)};
}

}  // namespace shardline::launcher::api
