#include "parallel/mpi/hello.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <set>

#include "parallel/cores.h"
#include "parallel/job_memory.h"
#include "parallel/wire.h"

namespace shardline::parallel {

template <class Archive>
void fields(Archive& archive, Hello& h) {
  archive(h.tp, h.pp, h.pp_layers, h.build, h.kernels, h.leaf_plan, h.model, h.options, h.failure);
}

template <class Archive>
void fields(Archive& archive, RegionAddress& a) {
  archive(a.pid, a.fd, a.nonce[0], a.nonce[1], a.ipc_namespace);
}

template <class Archive>
void fields(Archive& archive, HelloRecord& r) {
  archive(r.hello, r.host, r.cores, r.address);
}

namespace {

// What rank 0 sends to everyone.
struct Verdict {
  ErrorCode code = ErrorCode::internal;
  std::string error, param, kernels;
  std::vector<HelloRecord> all;
};

template <class Archive>
void fields(Archive& archive, Verdict& v) {
  archive(v.code, v.error, v.param, v.kernels, v.all);
}

template <class T>
std::vector<std::byte> to_bytes(const T& value) {
  std::vector<std::byte> bytes;
  WireWriter write(bytes);
  write(value);
  return bytes;
}

template <class T>
bool from_bytes(std::span<const std::byte> bytes, T& value) {
  WireReader read(bytes);
  read(value);
  return read.complete();
}

Error missing_error(const std::vector<int>& missing, Duration limit) {
  return {ErrorCode::timeout,
          fmt::format("rank{} {} did not answer within {:.0f} s of wire-up", missing.size() == 1 ? "" : "s", fmt::join(missing, ", "),
                      std::chrono::duration<double>(limit).count()),
          ""};
}

std::string own_host() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

std::vector<std::uint32_t> own_core_list() {
  const cpu_set_t set = own_cores();
  std::vector<std::uint32_t> cores;
  for (std::uint32_t i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  return cores;
}

constexpr Duration kSoon = std::chrono::milliseconds(300);  // to deliver bad news to those who listen
constexpr Duration kLater = std::chrono::seconds(2);        // how much longer the others wait for rank 0's word than it for theirs

// Rank 0: everybody's hello, judged.
Verdict collect(const Star& star, const HelloRecord& mine, const JobOptions& options) {
  Verdict verdict;
  const auto fail = [&verdict](const Error& error) {
    verdict = {error.code, error.message, error.param, {}, {}};
    return verdict;
  };
  std::vector<std::vector<std::byte>> messages;
  const std::vector<int> missing = star.gather(to_bytes(mine), messages, Clock::now() + options.wire_up);
  if (!missing.empty()) return fail(missing_error(missing, options.wire_up));
  verdict.all.resize(messages.size());
  for (std::size_t r = 0; r < messages.size(); ++r)
    if (!from_bytes(messages[r], verdict.all[r]))
      return fail({ErrorCode::usage, fmt::format("rank {} is of another build than rank 0", r), "build"});
  if (Status agreed = judge(verdict.all); !agreed.ok()) return fail(agreed.error());
  Result<std::string> kernels = best_kernels(verdict.all);
  if (!kernels.ok()) return fail(kernels.error());
  verdict.kernels = *kernels;
  return verdict;
}

// Every rank: rank 0's verdict. A rank that rank 0 waits for in vain hears nothing; the others hear who it was.
Result<Verdict> hear_verdict(const Star& star, const HelloRecord& mine, const JobOptions& options) {
  Verdict verdict;
  std::vector<std::byte> message;
  if (star.rank() == 0) {
    verdict = collect(star, mine, options);
    message = to_bytes(verdict);
    star.broadcast(message, Clock::now() + (verdict.error.empty() ? options.wire_up : kSoon));
  } else {
    std::vector<std::vector<std::byte>> unused;
    star.gather(to_bytes(mine), unused, Clock::now() + options.wire_up);
    if (!star.broadcast(message, Clock::now() + options.wire_up + kLater) || !from_bytes(message, verdict))
      return missing_error({0}, options.wire_up);
  }
  if (!verdict.error.empty()) return Error{verdict.code, verdict.error, verdict.param};
  return verdict;
}

// The lowest rank whose memory this one can open. Where that is another, `memory` becomes the leader's.
int find_leader(const std::vector<HelloRecord>& all, int rank, std::size_t bytes, std::optional<Region>& memory) {
  for (int r = 0; r < rank; ++r) {
    Result<Region> theirs = Region::attach(all[static_cast<std::size_t>(r)].address, bytes);
    if (!theirs.ok()) continue;
    memory.emplace(std::move(*theirs));
    return r;
  }
  return rank;
}

// Everybody's leader, the same on every rank. A rank whose leader has another leader stays alone.
Result<std::vector<int>> share_leaders(const Star& star, int mine, const JobOptions& options) {
  std::vector<std::vector<std::byte>> messages;
  std::vector<std::byte> message;
  const std::vector<int> missing = star.gather(to_bytes(mine), messages, Clock::now() + options.wire_up);
  if (!missing.empty()) return missing_error(missing, options.wire_up);
  std::vector<int> leaders(messages.size());
  for (std::size_t r = 0; r < messages.size(); ++r)
    if (!from_bytes(messages[r], leaders[r]) || leaders[r] < 0 || leaders[r] > static_cast<int>(r)) leaders[r] = static_cast<int>(r);
  for (std::size_t r = 0; r < leaders.size(); ++r)
    if (const int leader = leaders[r]; leaders[static_cast<std::size_t>(leader)] != leader) leaders[r] = static_cast<int>(r);
  if (star.rank() == 0) message = to_bytes(leaders);
  if (!star.broadcast(message, Clock::now() + options.wire_up + kLater) || !from_bytes(message, leaders))
    return missing_error({0}, options.wire_up);
  return leaders;
}

std::vector<int> count_host_cores(const std::vector<HelloRecord>& all, const std::vector<int>& leaders) {
  std::vector<std::set<std::uint32_t>> of_leader(all.size());
  for (std::size_t r = 0; r < all.size(); ++r)
    of_leader[static_cast<std::size_t>(leaders[r])].insert(all[r].cores.begin(), all[r].cores.end());
  std::vector<int> counts;
  for (const int leader : leaders) counts.push_back(static_cast<int>(of_leader[static_cast<std::size_t>(leader)].size()));
  return counts;
}

}  // namespace

Status judge(const std::vector<HelloRecord>& all) {
  const auto facts = [](const Hello& h) {
    return std::vector<std::pair<const char*, std::string>>{{"--tp", fmt::format("{}", h.tp)},
                                                            {"--pp", fmt::format("{}", h.pp)},
                                                            {"--pp-layers", fmt::format("{}", fmt::join(h.pp_layers, ","))},
                                                            {"build", h.build},
                                                            {"leaf plan", fmt::format("{:016x}", h.leaf_plan)},
                                                            {"model", fmt::format("{:016x}", h.model)},
                                                            {"options", h.options}};
  };
  for (std::size_t r = 0; r < all.size(); ++r)
    if (!all[r].hello.failure.empty())
      return Error{ErrorCode::unavailable, fmt::format("rank {} (host {}): {}", r, all[r].host, all[r].hello.failure), ""};
  const auto first = facts(all[0].hello);
  for (std::size_t r = 1; r < all.size(); ++r) {
    const auto theirs = facts(all[r].hello);
    for (std::size_t i = 0; i < first.size(); ++i)
      if (theirs[i].second != first[i].second)
        return Error{ErrorCode::usage,
                     fmt::format("{} differs: rank 0 (host {}) has {}, rank {} (host {}) has {}", first[i].first, all[0].host,
                                 first[i].second, r, all[r].host, theirs[i].second),
                     first[i].first};
  }
  const Hello& h = all[0].hello;
  const std::int64_t ranks = std::int64_t{h.tp} * h.pp;
  if (h.tp < 1 || h.pp < 1 || ranks != static_cast<std::int64_t>(all.size()))
    return Error{ErrorCode::usage, fmt::format("--tp {} x --pp {} need {} ranks, there are {}", h.tp, h.pp, ranks, all.size()), "--tp"};
  return {};
}

Result<std::string> best_kernels(const std::vector<HelloRecord>& all) {
  const auto has = [](const HelloRecord& record, const std::string& table) {
    return std::find(record.hello.kernels.begin(), record.hello.kernels.end(), table) != record.hello.kernels.end();
  };
  const std::vector<std::string>& first = all[0].hello.kernels;
  for (auto table = first.rbegin(); table != first.rend(); ++table)
    if (std::all_of(all.begin(), all.end(), [&](const HelloRecord& record) { return has(record, *table); })) return *table;
  const auto other = std::find_if(all.begin(), all.end(), [&](const HelloRecord& r) { return first.empty() || !has(r, first.front()); });
  return Error{ErrorCode::usage,
               fmt::format("no kernel table runs on every rank: rank 0 has {}, rank {} has {}", fmt::join(first, ", "), other - all.begin(),
                           fmt::join(other->hello.kernels, ", ")),
               "kernels"};
}

Result<Agreement> exchange_hellos(const Star& star, const Hello& mine, const JobOptions& options) {
  const bool fits = mine.tp >= 1 && mine.pp >= 1 && std::int64_t{mine.tp} * mine.pp == star.world();
  const std::size_t bytes = fits ? JobMemory::bytes(mine.tp, mine.pp) : 1;
  Result<Region> own = Region::create(bytes);
  if (!own.ok()) return own.error();
  Result<Verdict> verdict = hear_verdict(star, {mine, own_host(), own_core_list(), own->address()}, options);
  if (!verdict.ok()) return verdict.error();
  const std::vector<HelloRecord>& all = verdict->all;

  std::optional<Region> theirs;
  const int leader = find_leader(all, star.rank(), bytes, theirs);
  Result<std::vector<int>> leaders = share_leaders(star, leader, options);
  if (!leaders.ok()) return leaders.error();

  // Every rank has opened what it can: from here on nobody else is let in.
  const bool use_theirs =
      leader != star.rank() && (*leaders)[static_cast<std::size_t>(star.rank())] == leader && options.transport != Transport::mpi;
  Agreement agreement{verdict->kernels, {}, count_host_cores(all, *leaders), use_theirs ? std::move(*theirs) : std::move(*own)};
  agreement.memory.close_file();
  for (std::size_t r = 0; r < all.size(); ++r) {
    agreement.places.push_back({all[r].host, all[r].address.pid, (*leaders)[r]});
    if (options.transport == Transport::shm && (*leaders)[r] != 0)
      return Error{
          ErrorCode::usage,
          fmt::format("--transport shm: rank {} (host {}) cannot open the memory of rank 0 (host {})", r, all[r].host, all[0].host),
          "--transport"};
  }
  return agreement;
}

}  // namespace shardline::parallel
