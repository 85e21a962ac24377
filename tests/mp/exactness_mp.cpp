// One rank of a job under mpirun that runs random schedules on the real model and compares bits with the plain run in one process.
//   mpirun -np 4 exactness_mp --tp 2 --pp 2 --threads 1 --schedules 4 [--kernels avx2] [--transport mpi]      SHARDLINE_TEST_MODEL names
//   the model
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/kernels/kernel_table.h"
#include "parallel/local_executor.h"
#include "parallel/mpi/mpi_executor.h"
#include "tests/support/schedule.h"

namespace shardline {
namespace {

using test::Answers;
using test::Events;
using test::Schedule;

constexpr int kLongestPrompt = 200, kMaxTokens = 12, kRequests = 6;
constexpr int kNeededBlocks = (kLongestPrompt + kMaxTokens) / kBlockTokens + 2;
constexpr int kPoolBlocks = 9 * kNeededBlocks;  // of the ranks; schedules use a part of it

struct Arguments {
  int tp = 1, pp = 1, threads = 1, schedules = 4;
  std::string kernels, transport = "auto";
};

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--tp") a.tp = std::atoi(value.c_str());
    if (name == "--pp") a.pp = std::atoi(value.c_str());
    if (name == "--threads") a.threads = std::atoi(value.c_str());
    if (name == "--schedules") a.schedules = std::atoi(value.c_str());
    if (name == "--kernels") a.kernels = value;
    if (name == "--transport") a.transport = value;
  }
  if (const char* fewer = std::getenv("SHARDLINE_SCHEDULES")) a.schedules = std::atoi(fewer);
  return a;
}

parallel::ExecutorOptions executor_options(const Arguments& a) {
  parallel::ExecutorOptions options;
  options.stage.threads = a.threads;
  options.stage.max_rows = 512;
  options.stage.kv_blocks = kPoolBlocks;
  options.stage.kernels = a.kernels;
  options.depth = a.pp;
  return options;
}

parallel::StageFactory factory_for(const ModelFile& file, const StageOptions& options) {
  return [&file, options](const StageShape& shape, Collective& tp) { return ModelStage::load(file, shape, options, tp, nullptr); };
}

Answers plain_answers(const ModelFile& file, const Arguments& a, const std::vector<scheduler::Request>& requests, std::string& wrong) {
  Arguments one = a;
  one.tp = one.pp = one.threads = 1;
  const auto options = executor_options(one);
  const auto topology = parallel::Topology::make(1, 1, 1, file.config().layers);
  auto executor = parallel::LocalExecutor::start(*topology, factory_for(file, options.stage), options);
  if (!executor.ok()) return wrong = executor.error().message, Answers{};
  Events events;
  return test::run_schedule(test::plain_schedule(kNeededBlocks), requests, **executor, file.config().context, events, wrong);
}

// On rank 0. -> number of schedules that differed or failed
int compare(const ModelFile& file, const Arguments& a, Executor& executor) {
  const auto requests = test::make_requests(file.config().vocab, kLongestPrompt, kMaxTokens, kRequests, 11);
  std::string wrong;
  const Answers want = plain_answers(file, a, requests, wrong);
  int failures = wrong.empty() ? 0 : 1;
  Events events;
  for (int seed = 1; seed <= a.schedules && failures == 0; ++seed) {
    Schedule s = test::draw_schedule(static_cast<std::uint64_t>(seed * 31 + a.tp * 5 + a.pp + a.threads), 1, a.pp, kNeededBlocks);
    s.tp = a.tp;
    s.pp = a.pp;
    s.threads = a.threads;
    s.blocks = std::min(s.blocks, kPoolBlocks);
    const Answers got = test::run_schedule(s, requests, executor, file.config().context, events, wrong);
    if (wrong.empty()) wrong = test::difference(want, got);
    if (wrong.empty()) continue;
    ++failures;
    wrong = s.text() + ": " + wrong;
  }
  if (failures) fmt::print("FAILED: {}\n", wrong);
  fmt::print(
      "[ EXACT    ] mpirun tp {} pp {} threads {} {}: {} schedules, {} differences; {} prefix-hit tokens, {} preemptions, {} chunks inside "
      "128\n",
      a.tp, a.pp, a.threads, a.kernels.empty() ? "best kernels" : a.kernels, events.schedules, failures, events.prefix_hits,
      events.preemptions, events.chunk_borders);
  return failures;
}

int run(int argc, char** argv) {
  const Arguments a = parse(argc, argv);
  const char* path = std::getenv("SHARDLINE_TEST_MODEL");
  if (!path) return fmt::print(stderr, "SHARDLINE_TEST_MODEL must name the real model's file (tests/run sets it)\n"), 66;
  const auto file = ModelFile::open(path);
  if (!file.ok()) return fmt::print(stderr, "{}\n", file.error().message), 65;
  parallel::JobOptions job_options;
  job_options.transport = a.transport == "mpi" ? parallel::Transport::mpi : parallel::Transport::automatic;
  auto job = parallel::Job::start(job_options);
  if (!job.ok()) return fmt::print(stderr, "{}\n", job.error().message), 69;
  parallel::Hello hello;
  hello.tp = a.tp;
  hello.pp = a.pp;
  for (const KernelTable* t : kernel_tables())
    if (t->supported()) hello.kernels.push_back(t->name);
  hello.model = file->fingerprint();
  if (const auto agreed = (*job)->agree(hello); !agreed.ok()) {
    if ((*job)->rank() == 0) fmt::print(stderr, "{}\n", agreed.error().message);
    (*job)->finish(78);
  }
  const auto topology = parallel::Topology::make((*job)->world(), a.tp, a.pp, file->config().layers);
  const auto options = executor_options(a);
  const auto factory = factory_for(*file, options.stage);
  if ((*job)->rank() != 0) (*job)->finish(parallel::run_rank(**job, *topology, factory, options).ok() ? 0 : 70);
  auto executor = parallel::MpiExecutor::start(**job, *topology, factory, options);
  if (!executor.ok()) {
    fmt::print(stderr, "{}\n", executor.error().message);
    (*job)->finish(70);
  }
  const int failures = compare(*file, a, **executor);
  (*executor)->shutdown();
  std::fflush(stdout);
  (*job)->finish(failures == 0 ? 0 : 1);
}

}  // namespace
}  // namespace shardline

int main(int argc, char** argv) { return shardline::run(argc, argv); }
