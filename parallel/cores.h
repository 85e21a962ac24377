// The processors that a rank may run on, and what follows from sharing them.
#pragma once
#include <sched.h>

namespace shardline::parallel {

inline cpu_set_t own_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  return set;
}

// Whether the threads of so many ranks share cores: then nobody spins, and one plan is in flight.
inline bool crowded(int ranks, int threads, const cpu_set_t& cores) { return ranks * threads > CPU_COUNT(&cores); }

}  // namespace shardline::parallel
