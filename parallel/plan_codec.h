// StepPlan and StepResult as messages: a tag of kind and version, then the members in the order of step.h, vectors as u32 count and
// elements.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/step.h"

namespace shardline::parallel {

// `out` is replaced; its memory is kept.
void encode(const StepPlan& plan, std::vector<std::byte>& out);
void encode(const StepResult& result, std::vector<std::byte>& out);

// Any bytes give a value or an error. Whether a plan makes sense to a stage is check_plan()'s to say. Errors: io.
Result<StepPlan> decode_plan(std::span<const std::byte> message);
Result<StepResult> decode_result(std::span<const std::byte> message);

}  // namespace shardline::parallel
