#include "launcher/commands/text_input.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "engine/text/utf8.h"
#include "launcher/report.h"

namespace shardline::launcher {

Status check_utf8(std::string_view text, std::string_view name) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text.substr(at));
    if (c.kind != Utf8Char::valid) return Error{ErrorCode::bad_model, fmt::format("{} is not UTF-8 at byte {}", name, at), ""};
    at += c.bytes;
  }
  return {};
}

// Under mpirun a terminal looks like a pipe, so only the wait itself tells.
std::string read_standard_input() {
  constexpr int kSilent = 500;  // ms
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, kSilent) == 0) note("reading the prompt from standard input, up to Ctrl-D");
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

}  // namespace shardline::launcher
