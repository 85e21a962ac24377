// Angles of rotary position embedding (Su et al. 2021) with the scalings that models are trained with.
#pragma once
#include <span>
#include <vector>

#include "engine/model/model_config.h"

namespace shardline {

class RopeTable {
 public:
  explicit RopeTable(const RopeConfig& config);
  int half() const { return static_cast<int>(frequencies_.size()); }
  // cosines and sines (half) of one position, times the attention factor. The same bits on every machine.
  void fill(int position, float* cosines, float* sines) const;

 private:
  std::vector<float> frequencies_;
  float magnitude_ = 1;
};

}  // namespace shardline
