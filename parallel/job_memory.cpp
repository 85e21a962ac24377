#include "parallel/job_memory.h"

#include "parallel/shm_collective.h"

namespace shardline::parallel {
namespace {

// Rings hold the usual message whole; a longer one streams. Untouched pages cost nothing.
constexpr std::size_t kPlanRing = 256 * 1024, kHiddenRing = 512 * 1024, kResultRing = 1024 * 1024;

constexpr std::size_t kAbort = 512;
static_assert(sizeof(JobAbort) <= kAbort && sizeof(Pulse) == 128 && sizeof(Signal) == 128);

std::size_t pulses(int ranks) { return kAbort + static_cast<std::size_t>(ranks) * sizeof(Pulse); }
std::size_t per_rank() { return RingChannel::bytes(kPlanRing) + RingChannel::bytes(kHiddenRing); }

}  // namespace

// [abort][pulse per rank][result ring][plan ring, hidden ring per rank][collective per stage]
std::size_t JobMemory::bytes(int tp, int pp) {
  const int ranks = tp * pp;
  return pulses(ranks) + RingChannel::bytes(kResultRing) + static_cast<std::size_t>(ranks) * per_rank() +
         static_cast<std::size_t>(pp) * ShmCollective::bytes(tp);
}

JobMemory::JobMemory(Region region, int tp, int pp) : region_(std::move(region)), tp_(tp), pp_(pp) {}

Pulse& JobMemory::pulse(int rank) const { return reinterpret_cast<Pulse*>(region_.data() + kAbort)[rank]; }

std::unique_ptr<Channel> JobMemory::channel(const Link& link, const Waiting& how, std::string peer) const {
  std::byte* results = region_.data() + pulses(tp_ * pp_);
  std::byte* rings = results + RingChannel::bytes(kResultRing);
  const auto of_rank = [&](int rank) { return rings + static_cast<std::size_t>(rank) * per_rank(); };
  switch (link.kind) {
    case Link::plan: return std::make_unique<RingChannel>(of_rank(link.to), kPlanRing, how, std::move(peer));
    case Link::hidden:
      return std::make_unique<RingChannel>(of_rank(link.to) + RingChannel::bytes(kPlanRing), kHiddenRing, how, std::move(peer));
    case Link::result: break;
  }
  return std::make_unique<RingChannel>(results, kResultRing, how, std::move(peer));
}

std::unique_ptr<Collective> JobMemory::collective(const Topology& topology, int rank, const Waiting& how,
                                                  const ExecutorOptions& options) const {
  if (tp_ == 1) return std::make_unique<SoloCollective>();
  const int stage = topology.stage(rank);
  std::byte* area = region_.data() + bytes(tp_, pp_) - static_cast<std::size_t>(pp_ - stage) * ShmCollective::bytes(tp_);
  return std::make_unique<ShmCollective>(area, ShmCollective::Group{topology.tp_rank(rank), tp_, topology.rank(stage, 0)}, how,
                                         options.patience, options.exchange);
}

}  // namespace shardline::parallel
