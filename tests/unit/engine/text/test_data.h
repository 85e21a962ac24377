// The files under tests/data/text.
#pragma once
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/base/types.h"

namespace shardline::testing {

inline std::string read_data(const std::string& name) {
  std::ifstream file(std::string(SHARDLINE_TEST_DATA "/text/") + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline boost::json::value read_json(const std::string& name) { return boost::json::parse(read_data(name)); }

inline std::string text(const boost::json::value& value) { return std::string(value.as_string()); }

inline std::vector<TokenId> ids(const boost::json::value& value) { return boost::json::value_to<std::vector<TokenId>>(value); }

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

}  // namespace shardline::testing
