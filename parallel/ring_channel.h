// A Channel over shared memory: a byte ring with one writer and one reader, without locks. Messages longer than the ring stream through it.
#pragma once
#include <cstdint>
#include <string>

#include "parallel/channel.h"
#include "parallel/signal.h"

namespace shardline::parallel {

class RingChannel final : public Channel {
 public:
  static constexpr std::size_t bytes(std::size_t capacity) { return 2 * sizeof(Signal) + capacity; }

  // `memory`: bytes(capacity), zero-filled before the first use by either end, aligned to 128. capacity is a power of two.
  // `peer` names the other end in errors. An object is used as one end, sender or receiver.
  RingChannel(std::byte* memory, std::size_t capacity, Waiting how, std::string peer);

  Status send(std::span<const std::byte> message, TimePoint deadline) override;
  Status receive(std::vector<std::byte>& message, TimePoint deadline) override;
  Status receive_into(std::span<std::byte> message, TimePoint deadline) override;

 private:
  Status write(std::span<const std::byte> bytes, TimePoint deadline);
  Status read(std::span<std::byte> bytes, TimePoint deadline);
  Status failed(Wake wake, const char* what) const;
  Status read_body(std::span<std::byte> body);
  Status next_length(TimePoint deadline);

  Signal& written_;  // bytes written so far, modulo 2^32
  Signal& read_;     // bytes read so far
  std::byte* ring_;
  std::uint32_t capacity_;
  std::uint32_t at_ = 0;          // this end's position
  std::uint64_t length_ = kNone;  // of the message whose header was read already
  Waiting how_;
  std::string peer_;

  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
};

}  // namespace shardline::parallel
