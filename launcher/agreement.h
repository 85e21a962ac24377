// What the ranks of a job settle before they load: the kernel table, the threads of each rank, the KV pool.
#pragma once
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/weights/model_file.h"
#include "launcher/memory_plan.h"
#include "launcher/options.h"
#include "parallel/mpi/job.h"

namespace shardline::launcher {

// The kernel tables that may run here, worst first. Errors: usage, where the asked one cannot.
Result<std::vector<std::string>> allowed_kernels(const std::string& asked);

// What this rank tells all others. `file` is null where it could not be opened; `failure` then says why.
parallel::Hello make_hello(const ModelOptions& options, const ModelFile* file, std::vector<std::string> kernels, std::string failure);

struct Shares {
  int threads = 1;  // of each rank
  KvPlan kv;
};
// The shares of `ranks` that are threads of this process.
Result<Shares> decide_alone(int threads, const KvDemand& demand, std::span<const StageMemory> ranks);
// The same shares on every rank of a job: rank 0 hears of every host's cores and memory, and decides. After job.agree().
Result<Shares> decide_together(int threads, const KvDemand& demand, std::span<const StageMemory> ranks, const parallel::Job& job);

}  // namespace shardline::launcher
