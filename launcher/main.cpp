// shardline: one program for every command and every rank.
#include <cstdio>

#include "launcher/commands/commands.h"
#include "launcher/report.h"

namespace shardline::launcher {
namespace {

int run(const Options& options, parallel::Job* job) {
  switch (options.command) {
    case Command::serve: return run_serve(options, job);
    case Command::generate: return run_generate(options, job);
    case Command::perplexity: return run_perplexity(options, job);
    case Command::bench: return run_bench(options, job);
    case Command::inspect: return run_inspect(options);
    case Command::synthesize: return run_synthesize(options);
    case Command::version: return run_version(options);
  }
  return 0;
}

bool needs_ranks(const Options& options) {
  using enum Command;
  return options.command != inspect && options.command != synthesize && options.command != version && !options.bench.machine;
}

int run_program(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const Exit* exit = std::get_if<Exit>(&parsed)) {
    std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
    return exit->code;
  }
  const Options& options = std::get<Options>(parsed);
  if (!needs_ranks(options) || !parallel::launched_by_mpi()) return run(options, nullptr);
  auto job = parallel::Job::start({.transport = options.model.transport});
  if (!job) return fail(job.error());
  (*job)->finish(run(options, job->get()));
}

}  // namespace
}  // namespace shardline::launcher

int main(int argc, char** argv) { return shardline::launcher::run_program(argc, argv); }
