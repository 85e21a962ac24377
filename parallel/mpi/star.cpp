#include "parallel/mpi/star.h"

#include <mpi.h>

#include <algorithm>
#include <thread>

#include "engine/base/check.h"

namespace shardline::parallel {
namespace {

constexpr int kGatherTag = 1, kBroadcastTag = 2;
constexpr std::size_t kMaxGather = 64 * 1024, kMaxBroadcast = 4 * 1024 * 1024;
constexpr Duration kPoll = std::chrono::microseconds(200);

struct Pending {
  int peer;
  std::vector<std::byte> buffer = {};  // of a receive
  MPI_Request request = MPI_REQUEST_NULL;
  bool done = false;
};

Pending send(std::span<const std::byte> message, int to, int tag) {
  Pending pending{to};
  MPI_Isend(message.data(), static_cast<int>(message.size()), MPI_BYTE, to, tag, MPI_COMM_WORLD, &pending.request);
  return pending;
}

Pending receive(std::size_t most, int from, int tag) {
  Pending pending{from, std::vector<std::byte>(most)};
  MPI_Irecv(pending.buffer.data(), static_cast<int>(most), MPI_BYTE, from, tag, MPI_COMM_WORLD, &pending.request);
  return pending;
}

void poll(Pending& pending) {
  int done = 0, bytes = 0;
  MPI_Status status;
  if (pending.done || MPI_Test(&pending.request, &done, &status) != MPI_SUCCESS || !done) return;
  pending.done = true;
  if (pending.buffer.empty()) return;
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  pending.buffer.resize(static_cast<std::size_t>(bytes));
}

// Until all are done or the deadline passes; what is left then is given up. Returns the peers of those.
std::vector<int> finish(std::span<Pending> all, TimePoint deadline) {
  for (;;) {
    for (Pending& pending : all) poll(pending);
    const bool done = std::all_of(all.begin(), all.end(), [](const Pending& p) { return p.done; });
    if (done || Clock::now() >= deadline) break;
    std::this_thread::sleep_for(kPoll);
  }
  std::vector<int> missing;
  for (Pending& pending : all) {
    if (pending.done) continue;
    missing.push_back(pending.peer);
    if (!pending.buffer.empty()) MPI_Cancel(&pending.request);
    MPI_Request_free(&pending.request);
  }
  return missing;
}

}  // namespace

std::vector<int> Star::gather(std::span<const std::byte> mine, std::vector<std::vector<std::byte>>& all, TimePoint deadline) const {
  CHECK(mine.size() <= kMaxGather, "wire-up message of {} bytes", mine.size());
  std::vector<Pending> pending;
  if (rank_ != 0) {
    pending.push_back(send(mine, 0, kGatherTag));
    return finish(pending, deadline);
  }
  for (int r = 1; r < world_; ++r) pending.push_back(receive(kMaxGather, r, kGatherTag));
  std::vector<int> missing = finish(pending, deadline);
  all.assign(1, {mine.begin(), mine.end()});
  for (Pending& p : pending) all.push_back(std::move(p.buffer));
  return missing;
}

bool Star::broadcast(std::vector<std::byte>& message, TimePoint deadline) const {
  CHECK(message.size() <= kMaxBroadcast, "wire-up message of {} bytes", message.size());
  std::vector<Pending> pending;
  if (rank_ == 0) {
    for (int r = 1; r < world_; ++r) pending.push_back(send(message, r, kBroadcastTag));
    return finish(pending, deadline).empty();
  }
  pending.push_back(receive(kMaxBroadcast, 0, kBroadcastTag));
  const bool came = finish(pending, deadline).empty();
  message = std::move(pending.front().buffer);
  return came;
}

}  // namespace shardline::parallel
