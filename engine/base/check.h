// CHECK(condition, "format {}", values...): a broken contract stops the rank with its cause.
// Never reachable from a request, a file or another rank: those fail with a Result.
#pragma once
#include <fmt/core.h>

#include <string>

namespace shardline {

// Prints "file:line: check failed: expression: detail" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& detail);

}  // namespace shardline

#define CHECK(condition, ...)                                                                  \
  (static_cast<bool>(condition)                                                                \
       ? static_cast<void>(0)                                                                  \
       : ::shardline::check_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)))
