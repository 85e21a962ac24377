// MPI tags after wire-up. Between two ranks each tag is one stream.
#pragma once
#include "parallel/job_memory.h"

namespace shardline::parallel {

inline constexpr int kPulseTag = 10, kCollectiveTag = 11, kLinkTag = 12;
inline int link_tag(Link::Kind kind) { return kLinkTag + static_cast<int>(kind); }

}  // namespace shardline::parallel
