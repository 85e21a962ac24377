#include "engine/weights/config_reader.h"

#include <fmt/core.h>

#include <utility>

namespace shardline {

void ConfigReader::fail(std::string_view key, std::string message) {
  if (status_.ok()) status_ = Error{ErrorCode::bad_model, fmt::format("{}: {}", key, message), std::string(key)};
}

Scalar ConfigReader::get(std::string_view key, bool needed) {
  Result<Scalar> value = look_up_(key);
  if (!value) {
    if (status_.ok()) status_ = value.error();
    return {};
  }
  if (needed && std::holds_alternative<std::monostate>(*value)) fail(key, "missing");
  return *value;
}

bool ConfigReader::has(std::string_view key) {
  const Result<Scalar> value = look_up_(key);
  return !value || !std::holds_alternative<std::monostate>(*value);
}

int ConfigReader::integer(std::string_view key, int least, int most, std::optional<int> fallback) {
  const Scalar value = get(key, !fallback);
  if (std::holds_alternative<std::monostate>(value)) return fallback.value_or(least);
  const auto* n = std::get_if<std::int64_t>(&value);
  if (n && *n >= least && *n <= most) return static_cast<int>(*n);
  fail(key, n ? fmt::format("{} is not between {} and {}", *n, least, most) : "not an integer");
  return least;
}

double ConfigReader::number(std::string_view key, double least, double most, std::optional<double> fallback) {
  const Scalar value = get(key, !fallback);
  if (std::holds_alternative<std::monostate>(value)) return fallback.value_or(least);
  const auto* integer = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  const double x = integer ? static_cast<double>(*integer) : real ? *real : 0;
  if ((integer || real) && x >= least && x <= most) return x;  // a NaN is in no range
  fail(key, integer || real ? fmt::format("{} is not between {} and {}", x, least, most) : "not a number");
  return least;
}

bool ConfigReader::flag(std::string_view key, bool fallback) {
  const Scalar value = get(key, false);
  if (std::holds_alternative<std::monostate>(value)) return fallback;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  fail(key, "not true or false");
  return fallback;
}

std::string ConfigReader::text(std::string_view key, std::optional<std::string_view> fallback) {
  const Scalar value = get(key, !fallback);
  if (std::holds_alternative<std::monostate>(value)) return std::string(fallback.value_or(""));
  if (const auto* text = std::get_if<std::string_view>(&value)) return std::string(*text);
  fail(key, "not a string");
  return {};
}

}  // namespace shardline
