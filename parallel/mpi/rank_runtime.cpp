#include "parallel/mpi/rank_runtime.h"

#include <fmt/core.h>

#include <algorithm>

#include "engine/base/thread_name.h"
#include "parallel/mpi/mpi_channel.h"
#include "parallel/mpi/mpi_collective.h"
#include "parallel/mpi/tags.h"
#include "parallel/plan_pipeline.h"

namespace shardline::parallel {

RankRuntime::RankRuntime(const Job::Impl& job, const Topology& topology, const ExecutorOptions& options, Duration grace)
    : job_(job), topology_(topology), options_(options), crowded_(crowded_on(job.places[static_cast<std::size_t>(job.rank)].leader)) {
  Pulse& own = job.memory->pulse(job.rank);
  Watch::Options watch{&abort(), &own, {}, job.options.silence, nullptr, grace};
  if (!job.all_share_memory()) {
    std::vector<int> peers;
    for (int r = 0; r < job.world; ++r)
      if ((job.rank == 0 || r == 0) && !job.share_memory(job.rank, r)) peers.push_back(r);
    pump_ = std::make_unique<Pump>(abort(), !crowded_);
    remote_ = std::make_unique<RemotePulses>(*pump_, abort(), own, peers);
    watch.exchange = [this] { remote_->exchange(); };
  }
  watch.peers = watched();
  watch_ = std::make_unique<Watch>(std::move(watch));
}

RankRuntime::~RankRuntime() { leave(); }

void RankRuntime::leave() {
  job_.memory->pulse(job_.rank).state = RankState::leaving;
  watch_.reset();
  pump_.reset();
}

bool RankRuntime::crowded_on(int leader) const {
  const auto here = std::count_if(job_.places.begin(), job_.places.end(), [leader](const RankPlace& p) { return p.leader == leader; });
  return static_cast<int>(here) * options_.stage.threads > job_.host_cores[static_cast<std::size_t>(leader)];
}

bool RankRuntime::crowded_anywhere() const {
  return std::any_of(job_.places.begin(), job_.places.end(), [this](const RankPlace& p) { return crowded_on(p.leader); });
}

const Pulse& RankRuntime::pulse(int rank) const {
  return job_.share_memory(job_.rank, rank) ? job_.memory->pulse(rank) : remote_->pulse(rank);
}

// Every rank watches those of its host, and rank 0 and the others watch each other.
std::vector<WatchedRank> RankRuntime::watched() const {
  std::vector<WatchedRank> peers;
  for (int r = 0; r < job_.world; ++r) {
    if (r == job_.rank || !(job_.share_memory(job_.rank, r) || job_.rank == 0 || r == 0)) continue;
    const int pid = job_.same_host(job_.rank, r) ? job_.places[static_cast<std::size_t>(r)].pid : 0;
    peers.push_back({r, job_.name(r), &pulse(r), pid});
  }
  return peers;
}

ChannelMaker RankRuntime::channels(Duration spin) {
  return [this, how = Waiting{&abort(), spin, true}](const Link& link, const std::string& peer) -> std::unique_ptr<Channel> {
    if (job_.share_memory(link.from, link.to)) return job_.memory->channel(link, how, peer);
    const int other = link.from == job_.rank ? link.to : link.from;
    return std::make_unique<MpiChannel>(*pump_, abort(), other, link_tag(link.kind), peer);
  };
}

std::unique_ptr<Collective> RankRuntime::collective() {
  const int stage = topology_.stage(job_.rank);
  std::vector<int> ranks;
  bool shared = true;
  for (int t = 0; t < topology_.tp(); ++t) {
    ranks.push_back(topology_.rank(stage, t));
    shared = shared && job_.share_memory(ranks.front(), ranks.back());
  }
  if (shared) {  // with one plan in flight stages take turns: only the ranks of one sum at a time
    const int leader = job_.places[static_cast<std::size_t>(job_.rank)].leader;
    const bool stage_shares = topology_.tp() * options_.stage.threads > job_.host_cores[static_cast<std::size_t>(leader)];
    return job_.memory->collective(topology_, job_.rank, {&abort(), choose_spin(stage_shares), true}, options_);
  }
  return std::make_unique<MpiCollective>(*pump_, abort(), std::move(ranks), topology_.tp_rank(job_.rank), kCollectiveTag, options_.patience,
                                         options_.exchange);
}

RankLinks RankRuntime::links() { return link_rank(topology_, job_.rank, collective(), channels(choose_spin(crowded_))); }

Status RankRuntime::serve(const StageFactory& factory) {
  if (job_.rank == 0) name_thread("rank 0");  // a thread of its own; the others' is the process
  const RankLinks rank_links = links();
  Result<std::unique_ptr<ModelStage>> made = factory(topology_.shape(job_.rank), *rank_links.tp);
  if (!made.ok()) {
    abort().raise(made.error().code, fmt::format("{}: {}", job_.name(job_.rank), made.error().message));
    return made.error();
  }
  stage_ = std::move(*made);
  job_.memory->pulse(job_.rank).state = RankState::ready;
  Status end = serve_plans(*stage_, rank_links, options_);
  if (!end.ok()) abort().raise(ErrorCode::lost, fmt::format("{}: {}", job_.name(job_.rank), end.error().message));
  return abort().raised() ? Status(abort().error()) : end;
}

}  // namespace shardline::parallel
