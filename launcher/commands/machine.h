// What this machine can do at most, measured: the limits that benchmarks are compared with.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace shardline::launcher {

// 10^9 operations per second, a multiplication and an addition being two; 0: no such instruction.
struct ArithmeticLimits {
  double int8_gops = 0, bf16_gflops = 0, f32_gflops = 0;
};

// Each for a number of threads, together.
struct MachineLimits {
  std::string processor;                          // model, and the vector instructions that matter
  std::string kernels;                            // the table whose instructions were measured
  std::vector<std::pair<int, double>> read_gbps;  // of memory
  std::vector<std::pair<int, ArithmeticLimits>> arithmetic;
};
MachineLimits measure_machine(const std::string& kernels);

}  // namespace shardline::launcher
