// The life of a rank: plan from the controller -> hidden from the previous stage -> stage -> hidden to the next stage, or the result back.
#pragma once
#include <functional>
#include <memory>

#include "engine/model/model_stage.h"
#include "parallel/channel.h"
#include "parallel/executor_options.h"
#include "parallel/job_memory.h"
#include "parallel/topology.h"

namespace shardline::parallel {

// Everything a rank is connected to. Null where there is no such link: previous on the first stage, next on the last,
// results everywhere but on the last stage's tp rank 0.
struct RankLinks {
  std::unique_ptr<Collective> tp;
  std::unique_ptr<Channel> plans, previous, next, results;
};

// Makes the links of `rank`; the two functions choose what carries them.
using ChannelMaker = std::function<std::unique_ptr<Channel>(const Link& link, const std::string& peer)>;
RankLinks link_rank(const Topology& topology, int rank, std::unique_ptr<Collective> tp, const ChannelMaker& make_channel);

// Serves plans until an empty message, the controller's goodbye. Plans of another epoch are dropped.
// Errors: lost, with the cause; io or invalid_argument for a message or plan that breaks its rules. Any error is the rank's end.
Status serve_plans(ModelStage& stage, const RankLinks& links, const ExecutorOptions& options);

}  // namespace shardline::parallel
