// What this machine can do at most, measured: the limits that benchmarks are compared with.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace shardline::launcher {

struct MachineLimits {
  std::string processor;                          // model, and the vector instructions that matter
  std::vector<std::pair<int, double>> read_gbps;  // threads, and the GB/s of memory that they read together
  double int8_gops = 0;  // 10^9 operations/s of one thread, a multiplication and an addition being two; 0: not here
  double bf16_gflops = 0;
  double f32_gflops = 0;
};
MachineLimits measure_machine();

}  // namespace shardline::launcher
