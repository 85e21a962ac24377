#include "parallel/ring_channel.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/check.h"

namespace shardline::parallel {
namespace {

// Once a message has begun its sender is at work: the rest follows soon, whatever the caller's deadline says.
constexpr Duration kMidMessage = std::chrono::seconds(10);

// What is copied at once, so that both ends of a long message work at the same time.
constexpr std::uint32_t kChunk = 32 * 1024;

}  // namespace

RingChannel::RingChannel(std::byte* memory, std::size_t capacity, Waiting how, std::string peer)
    : written_(reinterpret_cast<Signal*>(memory)[0]),
      read_(reinterpret_cast<Signal*>(memory)[1]),
      ring_(memory + 2 * sizeof(Signal)),
      capacity_(static_cast<std::uint32_t>(capacity)),
      how_(how),
      peer_(std::move(peer)) {
  CHECK(std::has_single_bit(capacity) && capacity <= (std::size_t{1} << 30), "ring of {} bytes", capacity);
}

Status RingChannel::failed(Wake wake, const char* what) const {
  if (wake == Wake::aborted) return how_.abort->error();
  return Error{ErrorCode::timeout, fmt::format("{} {} in time", peer_, what), ""};
}

// What was copied is published when a whole span is in, or when this end has to wait: a message's length goes with its first bytes.
Status RingChannel::write(std::span<const std::byte> bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    const std::uint32_t room_for_one = at_ + 1 - capacity_;  // what the reader must have reached
    if (!read_.reached(room_for_one)) {
      written_.publish(at_, how_.shared);
      const Wake wake = read_.wait(room_for_one, how_, deadline);
      if (wake != Wake::ready) return failed(wake, "took no message");
    }
    const std::uint32_t offset = at_ & (capacity_ - 1);
    const std::uint32_t room = capacity_ - (at_ - read_.value());
    const std::size_t n = std::min<std::size_t>({bytes.size(), room, capacity_ - offset, kChunk});
    std::memcpy(ring_ + offset, bytes.data(), n);
    at_ += static_cast<std::uint32_t>(n);
    bytes = bytes.subspan(n);
    if (n == kChunk) written_.publish(at_, how_.shared);
  }
  return {};
}

Status RingChannel::read(std::span<std::byte> bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    if (!written_.reached(at_ + 1)) {
      read_.publish(at_, how_.shared);
      const Wake wake = written_.wait(at_ + 1, how_, deadline);
      if (wake != Wake::ready) return failed(wake, "sent no message");
    }
    const std::uint32_t offset = at_ & (capacity_ - 1);
    const std::size_t n = std::min<std::size_t>({bytes.size(), written_.value() - at_, capacity_ - offset, kChunk});
    std::memcpy(bytes.data(), ring_ + offset, n);
    at_ += static_cast<std::uint32_t>(n);
    bytes = bytes.subspan(n);
    if (n == kChunk) read_.publish(at_, how_.shared);
    deadline = std::max(deadline, Clock::now() + kMidMessage);
  }
  return {};
}

Status RingChannel::send(std::span<const std::byte> message, TimePoint deadline) {
  CHECK(message.size() <= kMaxMessage, "message of {} bytes", message.size());
  const std::uint64_t length = message.size();
  if (Status sent = write(std::as_bytes(std::span(&length, 1)), deadline); !sent.ok()) return sent;
  if (Status sent = write(message, deadline); !sent.ok()) return sent;
  written_.publish(at_, how_.shared);
  return {};
}

Status RingChannel::next_length(TimePoint deadline) {
  if (length_ != kNone) return {};
  std::uint64_t length = 0;
  if (Status got = read(std::as_writable_bytes(std::span(&length, 1)), deadline); !got.ok()) return got;
  length_ = length;
  return {};
}

Status RingChannel::read_body(std::span<std::byte> body) {
  length_ = kNone;
  if (Status got = read(body, Clock::now() + kMidMessage); !got.ok()) return got;
  read_.publish(at_, how_.shared);
  return {};
}

Status RingChannel::receive(std::vector<std::byte>& message, TimePoint deadline) {
  if (Status got = next_length(deadline); !got.ok()) return got;
  if (length_ > kMaxMessage) return Error{ErrorCode::io, fmt::format("{} sent a message of {} bytes", peer_, length_), ""};
  message.resize(length_);
  return read_body(message);
}

Status RingChannel::receive_into(std::span<std::byte> message, TimePoint deadline) {
  if (Status got = next_length(deadline); !got.ok()) return got;
  if (length_ != message.size())
    return Error{ErrorCode::io, fmt::format("{} sent {} bytes where {} were due", peer_, length_, message.size()), ""};
  return read_body(message);
}

}  // namespace shardline::parallel
