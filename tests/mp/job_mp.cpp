// One rank of a small job with a fake model: mpirun -np N job_mp TRANSPORT TP PP ACTION VICTIM
//   TRANSPORT shm | mpi | auto
//   ACTION  none | kill | exit | stop | pause: what happens to rank VICTIM in plan 20   idle-kill | idle-stop: between two plans
//           load | load-kill: in its factory                                            hello | model | kernels | absent: at wire-up
// Rank 0 prints what came of it, one fact per line; the exit status is 70 after a loss, 78 after a disagreement, 69 after an absence.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "parallel/local_executor.h"
#include "parallel/mpi/mpi_executor.h"
#include "tests/unit/parallel/fake_stage.h"

namespace shardline::parallel {
namespace {

constexpr int kPlans = 60;
constexpr std::uint64_t kFatal = 20;  // the plan in which it happens

struct Scenario {
  Transport transport;
  int tp, pp;
  std::string action;
  int victim;
};

void say(const std::string& line) {
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

// Stopped for half a second by a child, three times.
void pause_three_times() {
  for (int i = 0; i < 3; ++i) {
    const pid_t self = getpid();
    if (const pid_t child = fork(); child == 0) {
      kill(self, SIGSTOP);
      usleep(500'000);
      kill(self, SIGCONT);
      _exit(0);
    } else {
      waitpid(child, nullptr, 0);
    }
  }
}

void happen(const std::string& action) {
  if (action == "kill" || action == "idle-kill" || action == "load-kill") raise(SIGKILL);
  if (action == "exit") _exit(0);
  if (action == "stop" || action == "idle-stop") raise(SIGSTOP);
  if (action == "pause") pause_three_times();
}

StageFactory factory(const Scenario& s, int rank) {
  return [=](const StageShape& shape, Collective& tp) -> Result<std::unique_ptr<ModelStage>> {
    const bool mine = rank == s.victim;
    if (mine && s.action == "load") return Error{ErrorCode::bad_model, "a tensor is missing", ""};
    if (mine && s.action == "load-kill") happen(s.action);
    const bool idle = s.action.starts_with("idle");
    return fake_factory([=](const StepPlan& plan, const StageShape&) {
      if (!mine || plan.number != kFatal) return;
      if (!idle) return happen(s.action);
      std::thread([=] {
        usleep(300'000);  // long after the plan is done
        happen(s.action);
      }).detach();
    })(shape, tp);
  };
}

Hello hello(const Scenario& s, int rank) {
  Hello mine;
  mine.tp = s.tp;
  mine.pp = s.pp;
  mine.build = "test";
  mine.model = 0xabc;
  mine.kernels = {"scalar", "avx2", "avx512"};
  if (rank != s.victim) return mine;
  if (s.action == "hello") mine.failure = "no such file: m.gguf";
  if (s.action == "model") mine.model = 0xdef;
  if (s.action == "kernels") mine.kernels = {"scalar", "avx2"};
  return mine;
}

// A hash over the results of all plans, or the error that ended them.
Result<std::uint64_t> run_plans(Executor& executor, const Scenario& s) {
  std::uint64_t hash = 0;
  for (std::uint64_t n = 1; n <= kPlans; ++n) {
    if (Status sent = executor.submit(fake_plan(n, 1 + static_cast<int>(n * 7 % 300))); !sent.ok()) return sent.error();
    const Result<StepResult> result = executor.next(Clock::now() + std::chrono::seconds(60));
    if (!result.ok()) return result.error();
    for (const SampleResult& sample : result->samples) hash = (hash ^ sample.logits_hash) * 1099511628211u;
    for (int i = 0; n == kFatal && s.action.starts_with("idle") && i < 2000; ++i) {
      if (Status health = executor.health(); !health.ok()) return health.error();
      usleep(5000);
    }
  }
  return hash;
}

[[noreturn]] void control(Job& job, const Topology& topology, const Scenario& s) {
  Result<std::unique_ptr<MpiExecutor>> started = MpiExecutor::start(job, topology, factory(s, 0), fake_options());
  if (!started.ok()) {
    say("not started: " + started.error().message);
    job.finish(70);
  }
  const Result<std::uint64_t> hash = run_plans(**started, s);
  if (!hash.ok()) {
    say("lost: " + hash.error().message);
    job.finish(70);
  }
  auto plain = LocalExecutor::start(Topology::make(1, 1, 1, kFakeLayers).value(), fake_factory(), fake_options());
  const Result<std::uint64_t> expected = run_plans(**plain, {s.transport, 1, 1, "none", -1});
  say(expected.ok() && *hash == *expected ? "same bits as one rank" : "other bits than one rank");
  (*started)->shutdown();
  job.finish(0);
}

int exit_code(const Error& error) { return error.code == ErrorCode::timeout ? 69 : 78; }

int run(const Scenario& s) {
  JobOptions options;
  options.transport = s.transport;
  options.wire_up = std::chrono::seconds(s.action == "absent" ? 2 : 30);
  Result<std::unique_ptr<Job>> started = Job::start(options);
  if (!launched_by_mpi() || !started.ok()) return 2;
  Job& job = **started;
  if (job.rank() == s.victim && s.action == "absent") sleep(6);
  const Result<std::string> kernels = job.agree(hello(s, job.rank()));
  if (!kernels.ok()) {
    if (job.rank() == 0) say("disagreed: " + kernels.error().message);
    job.finish(exit_code(kernels.error()));
  }
  if (job.rank() == 0) {
    std::string pids = "pids:";
    for (const RankPlace& place : job.places()) pids += fmt::format(" {}", place.pid);
    say(pids);
    say("kernels: " + *kernels);
  }
  const Topology topology = Topology::make(job.world(), s.tp, s.pp, kFakeLayers).value();
  if (job.rank() == 0) control(job, topology, s);
  const Status end = run_rank(job, topology, factory(s, job.rank()), fake_options());
  job.finish(end.ok() ? 0 : 70);
}

}  // namespace
}  // namespace shardline::parallel

int main(int argc, char** argv) {
  using namespace shardline::parallel;
  if (argc != 6) return 2;
  const std::string transport = argv[1];
  const Transport chosen = transport == "mpi" ? Transport::mpi : transport == "shm" ? Transport::shm : Transport::automatic;
  return run({chosen, std::stoi(argv[2]), std::stoi(argv[3]), argv[4], std::stoi(argv[5])});
}
