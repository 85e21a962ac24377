// Thousands of random runs. SHARDLINE_SEED=N replays one.
#include <gtest/gtest.h>

#include <unistd.h>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "tests/simulation/fake_executor.h"
#include "tests/simulation/simulation.h"

namespace shardline::simulation {
namespace {

volatile std::uint64_t current_seed = 0;

// A CHECK aborts the process: say which run it was.
void name_seed(int) {
  char text[64] = "replay with SHARDLINE_SEED=";
  char* end = std::to_chars(text + std::strlen(text), text + sizeof text - 1, std::uint64_t{current_seed}).ptr;
  *end++ = '\n';
  if (write(STDERR_FILENO, text, static_cast<std::size_t>(end - text)) < 0) _exit(1);
}

bool run(std::uint64_t seed, Counts& counts) {
  current_seed = seed;
  try {
    simulate(seed, counts);
    return true;
  } catch (const Violation& violation) {
    ADD_FAILURE() << violation.what() << "\nreplay with SHARDLINE_SEED=" << seed;
    return false;
  }
}

TEST(SchedulerSimulation, InvariantsHoldOverRandomLoads) {
  std::signal(SIGABRT, name_seed);
  Counts counts;
  if (const char* seed = std::getenv("SHARDLINE_SEED")) {
    run(std::strtoull(seed, nullptr, 10), counts);
    return;
  }
  constexpr std::uint64_t kSeeds = 4000;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed)
    if (!run(seed, counts)) return;
  for (const char* kind :
       {"prefix hit", "preemption", "chunked prefill", "several prompts in a plan", "prefill beside decodes", "decode kept going",
        "choice of several", "cancel in flight", "queue full", "priority overtakes", "stop", "length", "error"})
    EXPECT_GE(counts[kind], 100u) << kind;
  for (const auto& [kind, count] : counts) RecordProperty(kind, static_cast<int>(count));
}

}  // namespace
}  // namespace shardline::simulation
