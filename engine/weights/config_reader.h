// Values of a model's configuration by key, from whatever file holds them. Each is checked against its bounds as it is read; the first
// error is kept, so that a function which reads many keys asks for it once, at the end.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/result.h"

namespace shardline {

using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string_view>;  // monostate: the key is absent

class ConfigReader {
 public:
  // `look_up` gives a key's value. Errors: bad_model where there is no such scalar, as an array.
  using LookUp = std::function<Result<Scalar>(std::string_view key)>;
  explicit ConfigReader(LookUp look_up) : look_up_(std::move(look_up)) {}

  bool has(std::string_view key);
  // Without a fallback the key must be there. On an error they return the least value.
  int integer(std::string_view key, int least, int most, std::optional<int> fallback = {});
  double number(std::string_view key, double least, double most, std::optional<double> fallback = {});
  bool flag(std::string_view key, bool fallback);
  std::string text(std::string_view key, std::optional<std::string_view> fallback = {});

  void fail(std::string_view key, std::string message);
  const Status& status() const { return status_; }

 private:
  Scalar get(std::string_view key, bool needed);

  LookUp look_up_;
  Status status_;
};

}  // namespace shardline
