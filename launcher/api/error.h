// OpenAI's error object: {"error": {"message", "type", "param", "code"}}.
#pragma once
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "launcher/http/http.h"

namespace shardline::launcher::api {

struct ApiError {
  int status = 400;
  std::string message{};
  std::string param{};  // the field at fault, as a path: "messages[0].role"; empty: none
  std::string code{};   // empty: null
  int retry_after = 0;  // seconds; 0: no such field
};

std::string error_json(const ApiError& error);
http::Response error_response(const ApiError& error);
http::Response fault_response(int status, std::string_view message);  // http::FaultResponse

// What a failure inside the server looks like from outside.
ApiError api_error(const Error& error, int retry_after);

// Text of clients on its way to a log: control characters escaped, cut after 200 bytes.
std::string for_log(std::string_view text);

}  // namespace shardline::launcher::api
