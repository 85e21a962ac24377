#include "launcher/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "launcher/exit_status.h"
#include "parallel/mpi/job.h"

namespace shardline::launcher {

void note(const std::string& line) { fmt::print(stderr, "shardline: {}\n", line); }

int fail(const Error& error) {
  note(error.message);
  return exit_status(error.code);
}

std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

bool on_terminal() { return isatty(STDERR_FILENO) && !parallel::launched_by_mpi(); }

struct Progress::State {
  std::mutex mutex;
  std::string what;
  std::vector<double> parts;
  bool terminal = on_terminal();
  bool shown = false;
  TimePoint next_time = Clock::now() + (terminal ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000));

  void set(std::size_t index, double share) {
    const std::scoped_lock lock(mutex);
    parts[index] = share;
    const TimePoint now = Clock::now();
    if (now < next_time) return;
    double sum = 0;
    for (const double part : parts) sum += part;
    show(sum / static_cast<double>(parts.size()));
    next_time = now + (terminal ? std::chrono::milliseconds(50) : std::chrono::milliseconds(5000));
  }

  void show(double share) {
    shown = true;
    if (!terminal) return note(fmt::format("{}: {:.0f} %", what, 100 * share));
    constexpr int kWidth = 40;
    const int full = static_cast<int>(share * kWidth);
    fmt::print(stderr, "\r{} [{:=<{}}{:{}}] {:3.0f} %", what, "", full, "", kWidth - full, 100 * share);
    std::fflush(stderr);
  }
};

Progress::Progress(std::string what, std::size_t parts) : state_(std::make_shared<State>()) {
  state_->what = std::move(what);
  state_->parts.resize(parts);
}

Progress::~Progress() {
  const std::scoped_lock lock(state_->mutex);
  if (state_->terminal && state_->shown) fmt::print(stderr, "\r\033[K");
}

std::function<void(double)> Progress::part(std::size_t index) {
  return [state = state_, index](double share) { state->set(index, share); };
}

}  // namespace shardline::launcher
