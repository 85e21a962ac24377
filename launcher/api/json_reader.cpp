#include "launcher/api/json_reader.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <cmath>
#include <unordered_set>

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;

// Builds the value as boost::json::parse does, and refuses what it lets through.
class StrictHandler {
 public:
  static constexpr std::size_t max_object_size = kJsonValues;
  static constexpr std::size_t max_array_size = kJsonValues;
  static constexpr std::size_t max_key_size = 64 << 20;
  static constexpr std::size_t max_string_size = 64 << 20;

  bool on_document_begin(json::error_code&) { return stack.reset(), true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& ec) {
    keys_.emplace_back();
    return count(ec);
  }
  bool on_object_end(std::size_t n, json::error_code&) {
    keys_.pop_back();
    return stack.push_object(n), true;
  }
  bool on_array_begin(json::error_code& ec) { return count(ec); }
  bool on_array_end(std::size_t n, json::error_code&) { return stack.push_array(n), true; }
  bool on_key_part(json::string_view s, std::size_t, json::error_code& ec) {
    key_ += s;
    return stack.push_chars(s), text(s, ec);
  }
  bool on_key(json::string_view s, std::size_t, json::error_code& ec) {
    key_ += s;
    const bool is_new = keys_.back().insert(std::exchange(key_, {})).second;
    if (!is_new) return fail("a key occurs twice", ec);
    return stack.push_key(s), text(s, ec);
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code& ec) { return stack.push_chars(s), text(s, ec); }
  bool on_string(json::string_view s, std::size_t, json::error_code& ec) { return stack.push_string(s), text(s, ec) && count(ec); }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t i, json::string_view, json::error_code& ec) { return stack.push_int64(i), count(ec); }
  bool on_uint64(std::uint64_t u, json::string_view, json::error_code& ec) { return stack.push_uint64(u), count(ec); }
  bool on_double(double d, json::string_view, json::error_code& ec) {
    if (!std::isfinite(d)) return fail("a number is too large", ec);
    return stack.push_double(d), count(ec);
  }
  bool on_bool(bool b, json::error_code& ec) { return stack.push_bool(b), count(ec); }
  bool on_null(json::error_code& ec) { return stack.push_null(), count(ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  json::value_stack stack;
  const char* fault = nullptr;

 private:
  bool fail(const char* why, json::error_code& ec) {
    fault = why;
    ec = json::error::syntax;
    return false;
  }
  bool count(json::error_code& ec) { return ++values_ <= kJsonValues || fail("too many values", ec); }
  bool text(json::string_view s, json::error_code& ec) { return s.find('\0') == json::string_view::npos || fail("a string holds NUL", ec); }

  std::size_t values_ = 0;
  std::string key_;  // of which parts have come
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kJsonDepth;
  json::basic_parser<StrictHandler> parser(options);
  json::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  StrictHandler& handler = parser.handler();
  const auto error = [&](const std::string& why) {
    return Error{ErrorCode::invalid_argument, fmt::format("the body is not valid JSON: {} at byte {}", why, used), ""};
  };
  if (handler.fault) return error(handler.fault);
  if (ec) return error(ec.message());
  if (used < text.size()) return error("something follows the value");
  return handler.stack.release();
}

}  // namespace shardline::launcher::api
