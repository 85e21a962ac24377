#include "parallel/watch.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "engine/base/check.h"
#include "engine/base/thread_name.h"

namespace shardline::parallel {
namespace {

constexpr std::chrono::milliseconds kBeat{100};
constexpr std::chrono::milliseconds kLastWords{250};  // well within the second that mpirun leaves the survivors
constexpr int kExitLost = 70;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

struct Watch::Peer {
  const WatchedRank* who;
  int pidfd = -1;
  std::uint32_t beat = 0;
  Duration silent{};

  bool leaving() const { return who->pulse->state.load() == RankState::leaving; }
};

Watch::Watch(Options options) : options_(std::move(options)), stop_(eventfd(0, EFD_CLOEXEC)) {
  CHECK(stop_ >= 0, "eventfd: error {}", errno);
  thread_ = std::thread([this] { run(); });
}

Watch::~Watch() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
}

void Watch::run() {
  name_thread("watch");
  std::vector<Peer> peers;
  std::vector<pollfd> fds{{stop_, POLLIN, 0}};
  for (const WatchedRank& who : options_.peers) {
    Peer& peer = peers.emplace_back(Peer{&who});
    if (who.pid == 0) continue;
    peer.pidfd = static_cast<int>(syscall(SYS_pidfd_open, who.pid, 0));
    if (peer.pidfd < 0 && errno == ESRCH && !peer.leaving())
      options_.abort->raise(ErrorCode::lost, fmt::format("{} died: its process is gone", who.name));
    if (peer.pidfd >= 0) fds.push_back({peer.pidfd, POLLIN, 0});
  }
  TimePoint last = Clock::now(), ended = TimePoint::max();
  for (bool stop = false; !stop;) {
    options_.own->beat.fetch_add(1);
    if (options_.exchange) options_.exchange();
    const int ready = poll(fds.data(), fds.size(), static_cast<int>(kBeat.count()));
    stop = ready > 0 && fds[0].revents != 0;
    if (ready > 0) {
      look_for_deaths(peers);
      std::erase_if(fds, [this](const pollfd& fd) { return fd.revents != 0 && fd.fd != stop_; });
    }
    const TimePoint now = Clock::now();
    look_for_silence(peers, std::min<Duration>(now - last, 2 * kBeat));
    last = now;
    if (options_.abort->raised()) ended = std::min(ended, now);
    if (options_.grace > Duration::zero() && ended != TimePoint::max() && now - ended > options_.grace) _exit(kExitLost);
  }
  if (options_.exchange) options_.exchange();
  for (const Peer& peer : peers)
    if (peer.pidfd >= 0) close(peer.pidfd);
}

void Watch::look_for_deaths(std::vector<Peer>& peers) const {
  for (Peer& peer : peers) {
    pollfd fd{peer.pidfd, POLLIN, 0};
    if (peer.pidfd < 0 || poll(&fd, 1, 0) <= 0) continue;
    hear_last_words(peer);
    if (!peer.leaving()) options_.abort->raise(ErrorCode::lost, fmt::format("{} died: its process ended", peer.who->name));
  }
}

// Why a rank ended may still be on its way through MPI when its process is already gone.
void Watch::hear_last_words(const Peer& peer) const {
  const TimePoint deadline = Clock::now() + kLastWords;
  while (Clock::now() < deadline && options_.exchange && !options_.abort->raised() && !peer.leaving()) {
    options_.exchange();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void Watch::look_for_silence(std::vector<Peer>& peers, Duration elapsed) const {
  for (Peer& peer : peers) {
    const std::uint32_t beat = peer.who->pulse->beat.load();
    peer.silent = beat == peer.beat && beat != 0 ? peer.silent + elapsed : Duration::zero();  // 0: it has not begun
    peer.beat = beat;
    if (peer.silent >= options_.silence && !peer.leaving())
      options_.abort->raise(ErrorCode::lost, fmt::format("{} silent for {:.1f} s", peer.who->name, seconds(peer.silent)));
  }
}

}  // namespace shardline::parallel
