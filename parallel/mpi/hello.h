// Wire-up: every rank says hello to rank 0, rank 0 judges and sends everything to everyone, then hosts are found by opening memory.
#pragma once
#include <string>
#include <vector>

#include "parallel/mpi/job.h"
#include "parallel/mpi/star.h"
#include "parallel/region.h"

namespace shardline::parallel {

// A rank's hello with what only this folder needs to know.
struct HelloRecord {
  Hello hello;
  std::string host;
  std::vector<std::uint32_t> cores;  // that the rank may run on
  RegionAddress address;             // of the memory that it offers
};

// The first disagreement, as one line with both values; success where there is none. Pure.
Status judge(const std::vector<HelloRecord>& all);
// The last of rank 0's kernel tables that every rank has. Pure. Errors: usage.
Result<std::string> best_kernels(const std::vector<HelloRecord>& all);

struct Agreement {
  std::string kernels;
  std::vector<RankPlace> places;
  std::vector<int> host_cores;  // [rank]: cores of its host that some rank there may run on
  Region memory;                // of this rank's host; its own where the transport is MPI
};
// Errors as Job::agree().
Result<Agreement> exchange_hellos(const Star& star, const Hello& mine, const JobOptions& options);

}  // namespace shardline::parallel
