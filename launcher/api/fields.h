// Reads the fields of a JSON object, each with its limits. The first fault is kept; after it, reads go on and mean nothing.
// Absent and null are the same: the fallback.
#pragma once
#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.h"
#include "launcher/api/error.h"

namespace shardline::launcher::api {

class Fields {
 public:
  // `path` begins the names in errors: "stream_options." for the fields of a nested object.
  Fields(const boost::json::object& object, std::optional<ApiError>& fault, std::string path = "")
      : object_(object), fault_(fault), path_(std::move(path)) {}

  const boost::json::value* find(std::string_view key) const;  // null where absent or null
  double number(std::string_view key, double fallback, double low, double high);
  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t low, std::int64_t high);
  bool boolean(std::string_view key, bool fallback);
  std::string text(std::string_view key, std::size_t most_bytes);  // empty where absent
  void refuse(std::string_view key, std::string_view why, std::string_view code = "");
  bool ok() const { return !fault_; }

 private:
  const boost::json::object& object_;
  std::optional<ApiError>& fault_;
  const std::string path_;
};

// A whole number: 3, and also 3.0, as some clients write it.
std::optional<std::int64_t> whole_number(const boost::json::value& value);

// Token ids of a vocabulary of that size; nothing where one is not.
std::optional<std::vector<TokenId>> token_ids(const boost::json::value& value, int vocab);

}  // namespace shardline::launcher::api
