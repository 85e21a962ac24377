#include "launcher/api/error.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace shardline::launcher::api {
namespace {

namespace json = boost::json;

const char* type_of(int status) { return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error"; }

json::value text_or_null(const std::string& text) { return text.empty() ? json::value(nullptr) : json::value(text); }

}  // namespace

std::string error_json(const ApiError& error) {
  return json::serialize(json::object{{"error",
                                       {{"message", error.message},
                                        {"type", type_of(error.status)},
                                        {"param", text_or_null(error.param)},
                                        {"code", text_or_null(error.code)}}}});
}

http::Response error_response(const ApiError& error) {
  http::Response response{.status = error.status, .body = error_json(error)};
  if (error.retry_after > 0) response.fields.emplace_back("Retry-After", std::to_string(error.retry_after));
  return response;
}

http::Response fault_response(int status, std::string_view message) {
  ApiError error{.status = status, .message = std::string(message)};
  if (status == 413) error.code = "request_too_large";
  if (status == 503) error.code = "overloaded", error.retry_after = 1;
  return error_response(error);
}

ApiError api_error(const Error& error, int retry_after) {
  switch (error.code) {
    case ErrorCode::exhausted: return {429, "the queue is full: " + error.message, "", "rate_limit_exceeded", retry_after};
    case ErrorCode::invalid_argument: {
      const bool length = error.param == "max_tokens";
      return {400, error.message, error.param, length ? "context_length_exceeded" : ""};
    }
    case ErrorCode::unavailable: return {503, error.message, "", "overloaded", 5};
    case ErrorCode::lost: return {500, "the engine failed: " + error.message, "", "engine_lost"};
    case ErrorCode::internal: return {500, error.message, "", "numerical_error"};
    default: return {500, error.message};
  }
}

std::string for_log(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace shardline::launcher::api
