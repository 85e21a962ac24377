#include "engine/model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace shardline {
namespace {

// sin and cos in double by Cody-Waite reduction and Taylor series: well below half a unit of float32, and not the C library's, whose last bits vary.
void sin_cos(double x, double& sine, double& cosine) {
  const double quarter = std::nearbyint(x * (2 / std::numbers::pi));
  double r = x - quarter * 1.57079632673412561417e+00;  // pi/2, first 33 bits
  r -= quarter * 6.07710050650619224932e-11;            // pi/2 - the first part
  const double z = r * r;
  double s = -1.0 / 1307674368000.0;
  for (const double divisor : {1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0}) s = s * z + divisor;
  s = r + r * z * s;
  double c = 1.0 / 20922789888000.0;
  for (const double divisor : {-1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5}) c = c * z + divisor;
  c = 1.0 + z * c;
  switch (static_cast<long long>(quarter) & 3) {
    case 0: sine = s, cosine = c; break;
    case 1: sine = c, cosine = -s; break;
    case 2: sine = -s, cosine = -c; break;
    default: sine = -c, cosine = s; break;
  }
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
double llama3(const RopeConfig& c, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < c.original_context / c.high_freq_factor) return frequency;
  if (wavelength > c.original_context / c.low_freq_factor) return frequency / c.factor;
  const double smooth = (c.original_context / wavelength - c.low_freq_factor) / (c.high_freq_factor - c.low_freq_factor);
  return (1 - smooth) * frequency / c.factor + smooth * frequency;
}

// YaRN (Peng et al. 2023): a ramp over the dimensions between the ones that turn beta_fast and beta_slow times in the trained context.
double yarn(const RopeConfig& c, double frequency, int i) {
  const auto dimension = [&](double turns) {
    return c.dims * std::log(c.original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(c.theta));
  };
  const double low = std::max(std::floor(dimension(c.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension(c.beta_slow)), c.dims - 1.0);
  if (low == high) high += 0.001;
  const double stretched = std::clamp((i - low) / (high - low), 0.0, 1.0);
  return frequency / c.factor * stretched + frequency * (1 - stretched);
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config) {
  for (int i = 0; i < config.dims / 2; ++i) {
    double frequency = std::pow(config.theta, -2.0 * i / config.dims);
    switch (config.scaling) {
      case RopeScaling::none: break;
      case RopeScaling::linear: frequency /= config.factor; break;
      case RopeScaling::llama3: frequency = llama3(config, frequency); break;
      case RopeScaling::yarn: frequency = yarn(config, frequency, i); break;
    }
    if (!config.factors.empty()) frequency /= static_cast<double>(config.factors[static_cast<std::size_t>(i)]);
    frequencies_.push_back(static_cast<float>(frequency));
  }
  if (config.scaling == RopeScaling::yarn)
    magnitude_ = static_cast<float>(config.attention_factor > 0 ? config.attention_factor : config.factor > 1 ? 0.1 * std::log(config.factor) + 1 : 1);
}

void RopeTable::fill(int position, float* cosines, float* sines) const {
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    double sine, cosine;
    sin_cos(static_cast<double>(static_cast<float>(position) * frequencies_[i]), sine, cosine);
    cosines[i] = static_cast<float>(cosine) * magnitude_;
    sines[i] = static_cast<float>(sine) * magnitude_;
  }
}

}  // namespace shardline
