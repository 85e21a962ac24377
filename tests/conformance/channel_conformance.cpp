#include "tests/conformance/channel_conformance.h"

#include <fmt/core.h>

#include <vector>

namespace shardline::parallel::conformance {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);
constexpr int kBurst = 100;  // short messages one after another

std::vector<std::size_t> sizes(std::size_t buffer) {
  std::vector<std::size_t> all = {0,    1,    7,          8,          9,          0,      4087,       4088,
                                  4089, 4096, buffer - 9, buffer - 8, buffer - 7, buffer, buffer + 1, 3 * buffer + 5};
  for (int i = 0; i < kBurst; ++i) all.push_back(static_cast<std::size_t>(i * 37 % 300));
  return all;
}

std::vector<std::byte> message(std::size_t number, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((number * 131 + i * 7 + (i >> 8)) & 0xff);
  return bytes;
}

}  // namespace

std::string send_everything(Channel& channel, std::size_t buffer) {
  std::size_t number = 0;
  for (const std::size_t size : sizes(buffer))
    if (Status sent = channel.send(message(number++, size), Clock::now() + kPatience); !sent.ok())
      return fmt::format("sending message {}: {}", number - 1, sent.error().message);
  return "";
}

std::string receive_everything(Channel& channel, std::size_t buffer) {
  std::size_t number = 0;
  for (const std::size_t size : sizes(buffer)) {
    const std::vector<std::byte> expected = message(number, size);
    std::vector<std::byte> got(size);
    for (Status status = Error{ErrorCode::timeout, "", ""}; !status.ok();) {  // short deadlines: a time-out must leave everything as it was
      const TimePoint deadline = Clock::now() + std::chrono::microseconds(50);
      status = number % 2 == 0 ? channel.receive(got, deadline) : channel.receive_into(got, deadline);
      if (!status.ok() && status.error().code != ErrorCode::timeout)
        return fmt::format("receiving message {}: {}", number, status.error().message);
    }
    if (got != expected) return fmt::format("message {} of {} bytes arrived altered, or as {} bytes", number, size, got.size());
    ++number;
  }
  return "";
}

}  // namespace shardline::parallel::conformance
