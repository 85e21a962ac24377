// The commands. Each returns the status to end with; `job` is null in one process.
#pragma once
#include "launcher/options.h"
#include "parallel/mpi/job.h"

namespace shardline::launcher {

int run_serve(const Options& options, parallel::Job* job);
int run_generate(const Options& options, parallel::Job* job);
int run_perplexity(const Options& options, parallel::Job* job);
int run_bench(const Options& options, parallel::Job* job);
int run_inspect(const Options& options);
int run_synthesize(const Options& options);
int run_version(const Options& options);

}  // namespace shardline::launcher
