// Port: ordered messages from one rank to another. Each end is used by one thread.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace shardline::parallel {

inline constexpr std::size_t kMaxMessage = std::size_t{1} << 30;  // bytes; a longer one is refused, so a corrupt length allocates nothing

class Channel {
 public:
  virtual ~Channel() = default;

  // Errors, naming the peer: timeout (final where it struck inside a message), lost (the job was ended: its cause), io.
  virtual Status send(std::span<const std::byte> message, TimePoint deadline) = 0;

  // The next message. A timeout before its first byte leaves everything as it was.
  virtual Status receive(std::vector<std::byte>& message, TimePoint deadline) = 0;
  // The same for a message whose size is known, straight into place. Errors also: io, where the size differs.
  virtual Status receive_into(std::span<std::byte> message, TimePoint deadline) = 0;
};

}  // namespace shardline::parallel
