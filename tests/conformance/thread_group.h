// A group whose ranks are threads over one anonymous region.
#pragma once
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "parallel/region.h"
#include "parallel/shm_collective.h"

namespace shardline::parallel::conformance {

// Runs `body` on every rank; returns the first rank's complaint, or an empty string.
inline std::string on_every_rank(int size, const std::function<std::string(int rank)>& body) {
  std::vector<std::string> wrong(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        wrong[static_cast<std::size_t>(rank)] = body(rank);
      } catch (const RankLost& lost) {
        wrong[static_cast<std::size_t>(rank)] = lost.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : wrong)
    if (!text.empty()) return text;
  return "";
}

struct ThreadGroup {
  ThreadGroup(int ranks, Exchange how, std::size_t slot_floats)
      : size(ranks),
        exchange(how),
        slot(slot_floats),
        region(std::move(Region::anonymous(ShmCollective::bytes(ranks, slot_floats)).value())) {}

  std::string run(const std::function<std::string(Collective&)>& body, Duration patience = std::chrono::seconds(60)) {
    return on_every_rank(size, [&](int rank) {
      ShmCollective collective(region.data(), {rank, size, 0}, {&abort, spin, false}, patience, exchange, slot);
      return body(collective);
    });
  }

  int size;
  Exchange exchange;
  std::size_t slot;
  Region region;
  JobAbort abort;
  Duration spin{};
};

}  // namespace shardline::parallel::conformance
