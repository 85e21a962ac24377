// One random run of the scheduler against the fake executor, made from a seed alone.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace shardline::simulation {

// How often each kind of event occurred.
using Counts = std::map<std::string, std::uint64_t>;

// Throws Violation where an invariant breaks; the scheduler's own CHECKs abort.
void simulate(std::uint64_t seed, Counts& counts);

}  // namespace shardline::simulation
