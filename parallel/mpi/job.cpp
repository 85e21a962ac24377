#include "parallel/mpi/job.h"

#include <fmt/format.h>
#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "parallel/mpi/hello.h"
#include "parallel/mpi/job_impl.h"
#include "parallel/mpi/star.h"

namespace shardline::parallel {
namespace {

constexpr int kExitUnavailable = 69;
constexpr Duration kFarewell = std::chrono::milliseconds(1500);

// Ends the process where what it guards does not come back.
class Guard {
 public:
  Guard(Duration limit, int exit_code, std::string message) {
    thread_ = std::thread([this, limit, exit_code, text = std::move(message)] {
      std::unique_lock lock(mutex_);
      if (over_.wait_for(lock, limit, [this] { return done_; })) return;
      if (!text.empty()) std::fprintf(stderr, "%s\n", text.c_str());
      _exit(exit_code);
    });
  }
  ~Guard() {
    {
      const std::scoped_lock lock(mutex_);
      done_ = true;
    }
    over_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread thread_;
};

int number_from(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : 0;
}

}  // namespace

bool launched_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
    if (std::getenv(name)) return true;
  return number_from("SLURM_STEP_NUM_TASKS") > 1;
}

std::string Job::Impl::name(int r) const {
  const RankPlace& place = places[static_cast<std::size_t>(r)];
  return fmt::format("rank {} (host {}, pid {})", r, place.host, place.pid);
}

bool Job::Impl::all_share_memory() const {
  for (int r = 1; r < world; ++r)
    if (!share_memory(0, r)) return false;
  return true;
}

Result<std::unique_ptr<Job>> Job::start(const JobOptions& options) {
  setenv("OMPI_MCA_btl", "^vader", 0);             // Open MPI's own shared memory: not needed, and left in /dev/shm when a rank is killed
  setenv("OMPI_MCA_mpi_yield_when_idle", "0", 0);  // the pump sleeps by itself; a yield in every poll costs a time slice on a busy host
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  const double limit = std::chrono::duration<double>(options.wire_up).count();
  {
    const Guard guard(options.wire_up, kExitUnavailable, fmt::format("shardline: MPI_Init did not return within {:.0f} s", limit));
    int provided = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_SERIALIZED)
      return Error{ErrorCode::unavailable, "MPI offers no MPI_THREAD_SERIALIZED", ""};
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &impl->rank);
  MPI_Comm_size(MPI_COMM_WORLD, &impl->world);
  if (const int tasks = number_from("SLURM_STEP_NUM_TASKS"); impl->world == 1 && tasks > 1 && !std::getenv("OMPI_COMM_WORLD_SIZE"))
    return Error{ErrorCode::usage, fmt::format("srun started {} tasks, MPI sees 1: use srun --mpi=pmix", tasks), "--mpi"};
  return std::unique_ptr<Job>(new Job(std::move(impl)));
}

Job::Job(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Job::~Job() = default;

int Job::rank() const { return impl_->rank; }
int Job::world() const { return impl_->world; }
const std::vector<RankPlace>& Job::places() const { return impl_->places; }

bool Job::one_host() const {
  return std::all_of(impl_->places.begin(), impl_->places.end(), [](const RankPlace& place) { return place.leader == 0; });
}

Result<std::string> Job::agree(const Hello& mine) {
  Impl& job = *impl_;
  Result<Agreement> agreement = exchange_hellos(Star(job.rank, job.world), mine, job.options);
  job.whole = agreement.ok() || agreement.error().code != ErrorCode::timeout;
  if (!agreement.ok()) return agreement.error();
  job.places = std::move(agreement->places);
  job.host_cores = std::move(agreement->host_cores);
  job.memory = std::make_unique<JobMemory>(std::move(agreement->memory), mine.tp, mine.pp);
  return agreement->kernels;
}

// mpirun gives the others a second when a rank ends with an error, less when more of them end: rank 0 needs it, to tell its clients. Where
// rank 0 is gone already, mpirun needs the time to read what the others said of it.
void Job::Impl::let_rank_0_go_first() const {
  const int pid = !places.empty() && same_host(0, rank) ? places.front().pid : 0;
  const bool alive = pid != 0 && kill(pid, 0) == 0;
  for (const TimePoint deadline = Clock::now() + kFarewell; rank != 0 && Clock::now() < deadline;) {
    if (alive && kill(pid, 0) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void Job::finish(int exit_code) {
  std::fflush(nullptr);
  if (!impl_->whole || (impl_->memory && impl_->memory->abort().raised())) {
    impl_->let_rank_0_go_first();
    _exit(exit_code);
  }
  const Guard guard(impl_->options.finish, exit_code, "");
  MPI_Finalize();
  std::exit(exit_code);
}

}  // namespace shardline::parallel
