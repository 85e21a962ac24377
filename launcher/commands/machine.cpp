#include "launcher/commands/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <thread>

#include "engine/base/aligned_buffer.h"
#include "engine/base/clock.h"
#include "parallel/cores.h"

namespace shardline::launcher {
namespace {

double seconds_since(TimePoint begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Loops of one instruction into 12 independent accumulators: more than latency times throughput of any multiplier. The assembler unrolls.
constexpr std::uint64_t kRounds = 2'000'000;  // some milliseconds: one of many tries is not interrupted
constexpr double kInstructions = 12.0 * kRounds;

void clear_sources() { asm volatile("vpxor %%xmm12,%%xmm12,%%xmm12\n vpxor %%xmm13,%%xmm13,%%xmm13" ::: "xmm12", "xmm13"); }

void int8_avx512(std::uint64_t n) {
  asm volatile("1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vpdpbusd %%zmm12,%%zmm13,%%zmm\\r\n .endr\n dec %0\n jnz 1b"
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}
void bf16_avx512(std::uint64_t n) {
  asm volatile("1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vdpbf16ps %%zmm12,%%zmm13,%%zmm\\r\n .endr\n dec %0\n jnz 1b"
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}
void f32_avx512(std::uint64_t n) {
  asm volatile("1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vfmadd231ps %%zmm12,%%zmm13,%%zmm\\r\n .endr\n dec %0\n jnz 1b"
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}
void int8_avx2(std::uint64_t n) {  // products summed in 16 bits, as there is no dot product
  asm volatile(
      "1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vpmaddubsw %%ymm12,%%ymm13,%%ymm14\n vpaddw %%ymm14,%%ymm\\r,%%ymm\\r\n .endr\n dec %0\n "
      "jnz 1b"
      : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14");
}
void f32_avx2(std::uint64_t n) {
  asm volatile("1:\n .irp r,0,1,2,3,4,5,6,7,8,9,10,11\n vfmadd231ps %%ymm12,%%ymm13,%%ymm\\r\n .endr\n dec %0\n jnz 1b"
               : "+r"(n)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
}

// 10^9 operations per second of `threads` threads that run a loop each: the best of several tries.
double best_rate(void (*loop)(std::uint64_t), double operations, int threads) {
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const TimePoint begin = Clock::now();
    std::vector<std::jthread> team;
    for (int t = 0; t < threads; ++t)
      team.emplace_back([loop] {
        clear_sources();
        loop(kRounds);
      });
    team.clear();
    best = std::max(best, threads * kInstructions * operations / seconds_since(begin) / 1e9);
  }
  return best;
}

using Lanes [[gnu::vector_size(64)]] = std::uint64_t;

// Sums `bytes` of memory, many lines at once. The sum keeps the reads.
std::uint64_t read_all(const std::byte* data, std::size_t bytes) {
  Lanes sums[4] = {};
  const auto* lanes = reinterpret_cast<const Lanes*>(data);
  for (std::size_t i = 0; i + 4 <= bytes / sizeof(Lanes); i += 4)
    for (std::size_t j = 0; j < 4; ++j) sums[j] += lanes[i + j];
  const Lanes sum = sums[0] + sums[1] + sums[2] + sums[3];
  return sum[0] ^ sum[7];
}

// GB/s that `threads` threads read together, each a part of its own: the best of several passes.
double read_bandwidth(int threads) {
  constexpr std::size_t kBytes = std::size_t{1} << 29;  // beyond every cache
  const std::size_t part = kBytes / static_cast<std::size_t>(threads);
  const AlignedBuffer buffer(kBytes);
  std::memset(buffer.data(), 1, kBytes);
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    std::vector<std::jthread> team;
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads));
    const TimePoint begin = Clock::now();
    for (std::size_t t = 0; t < sums.size(); ++t) team.emplace_back([&, t] { sums[t] = read_all(buffer.data() + t * part, part); });
    team.clear();
    best = std::max(best, static_cast<double>(kBytes) / seconds_since(begin) / 1e9);
  }
  return best;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string name = "unknown processor", family, model;
  for (std::string line; std::getline(file, line);) {
    const auto value = [&](const char* key, std::string& out) {
      if (line.starts_with(key) && line.find(": ") != std::string::npos) out = line.substr(line.find(": ") + 2);
    };
    value("model name", name);
    value("cpu family", family);
    value("model\t", model);
  }
  return fmt::format("{} (family {} model {})", name, family, model);
}

}  // namespace

MachineLimits measure_machine(const std::string& kernels) {
  MachineLimits limits;
  const bool avx512 = __builtin_cpu_supports("avx512vnni"), bf16 = __builtin_cpu_supports("avx512bf16"),
             avx2 = __builtin_cpu_supports("avx2");
  limits.processor = fmt::format("{}, {}", processor_name(),
                                 avx512 ? (bf16 ? "AVX-512 VNNI BF16" : "AVX-512 VNNI")
                                 : avx2 ? "AVX2"
                                        : "no AVX2");
  limits.kernels = kernels;
  const cpu_set_t set = parallel::own_cores();
  const int cores = CPU_COUNT(&set);
  for (int threads = 1; threads <= cores; threads = threads < 4 ? threads + 1 : threads * 2) {
    limits.read_gbps.emplace_back(threads, read_bandwidth(threads));
    ArithmeticLimits rates;
    if (kernels == "avx512" && avx512) {
      rates.int8_gops = best_rate(int8_avx512, 128, threads);
      rates.f32_gflops = best_rate(f32_avx512, 32, threads);
      if (bf16) rates.bf16_gflops = best_rate(bf16_avx512, 64, threads);
    } else if (kernels == "avx2") {
      rates.int8_gops = best_rate(int8_avx2, 64, threads);
      rates.f32_gflops = best_rate(f32_avx2, 16, threads);
    }
    limits.arithmetic.emplace_back(threads, rates);
  }
  return limits;
}

}  // namespace shardline::launcher
