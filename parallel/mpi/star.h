// Small messages between rank 0 and all others at wire-up, each with a deadline. Only before the pump owns MPI.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/clock.h"

namespace shardline::parallel {

class Star {
 public:
  Star(int rank, int world) : rank_(rank), world_(world) {}
  int rank() const { return rank_; }
  int world() const { return world_; }

  // On rank 0, `all` [rank] receives everybody's message (at most 64 KiB), its own included.
  // Returns the ranks whose message did not come (on other ranks: 0 where it did not go) in time.
  std::vector<int> gather(std::span<const std::byte> mine, std::vector<std::vector<std::byte>>& all, TimePoint deadline) const;
  // Rank 0's message (at most 4 MiB) to all. Returns whether it came or went in time.
  bool broadcast(std::vector<std::byte>& message, TimePoint deadline) const;

 private:
  int rank_, world_;
};

}  // namespace shardline::parallel
