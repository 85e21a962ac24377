// Who gets how many of a plan's rows. Pure: looks at the running sequences, changes nothing.
#pragma once
#include <cstdint>
#include <vector>

#include "scheduler/sequence.h"

namespace shardline::scheduler {

// Fills `rows` for the sequences running (in order of service) in plan `number`; sums to max_rows at most.
//
// Decodes come first, one row each. With several plans in flight each plan takes an even share of them, so that every stage of the pipeline
// has work: a decode is in every `depth`-th plan, and one later where the shares are evened out (after many began or ended at once).
//
// What is left goes to prefill in order of service (chunked prefill: Sarathi-Serve, arXiv 2403.02310). The first prompt that does not
// fit takes the rest, but up to half of that goes to prompts of the same priority behind it which fit whole: a long prompt does not
// block short ones, and they slow it down by half at most. With several plans in flight a short prompt is cut into chunks too, which follow
// each other through the stages: of c chunks over d stages only d - 1 steps are spent filling the pipeline.
void share_rows(const std::vector<Sequence*>& running, const Limits& limits, std::uint64_t number, std::vector<int>& rows);

}  // namespace shardline::scheduler
