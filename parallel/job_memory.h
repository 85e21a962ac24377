// What the ranks of one host share: the job's end, a pulse per rank, and where every collective and ring lies.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "parallel/executor_options.h"
#include "parallel/region.h"
#include "parallel/ring_channel.h"
#include "parallel/signal.h"
#include "parallel/topology.h"

namespace shardline::parallel {

enum class RankState : std::uint32_t { starting, ready, leaving };

// A rank's sign of life. Written by the rank's watch, read by the others'.
struct alignas(128) Pulse {
  std::atomic<std::uint32_t> beat{0};
  std::atomic<RankState> state{RankState::starting};
};

// A one-way message path. The controller is a peer of its own in rank 0's process.
struct Link {
  enum Kind { plan, hidden, result };  // controller -> rank; rank of a stage -> same tp rank of the next; result rank -> controller
  Kind kind;
  int from, to;  // world ranks; 0 for the controller
};

class JobMemory {
 public:
  static std::size_t bytes(int tp, int pp);
  JobMemory(Region region, int tp, int pp);

  JobAbort& abort() const { return *reinterpret_cast<JobAbort*>(region_.data()); }
  Pulse& pulse(int rank) const;
  std::unique_ptr<Channel> channel(const Link& link, const Waiting& how, std::string peer) const;
  std::unique_ptr<Collective> collective(const Topology& topology, int rank, const Waiting& how, const ExecutorOptions& options) const;

 private:
  Region region_;
  int tp_, pp_;
};

}  // namespace shardline::parallel
