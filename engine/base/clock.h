// Time as a value that tests can inject.
#pragma once
#include <chrono>

namespace shardline {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

}  // namespace shardline
