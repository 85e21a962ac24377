// From logits to a token. Depends on the row's logits, the sampling parameters, the position: on nothing else.
#pragma once
#include <span>
#include <vector>

#include "engine/step.h"

namespace shardline {

class Sampler {
 public:
  explicit Sampler(int vocab);

  // logits (vocab) in token order. Order of the filters: temperature, min_p, top_k, top_p; the draw is one Philox number
  // (sampling/philox.h). Ties go to the lower id. Not reentrant: it owns scratch for one row.
  SampleResult sample(std::span<const float> logits, const PlanSample& want);

 private:
  TokenId draw(std::span<const float> logits, float largest, const PlanSample& want);
  TokenId draw_filtered(std::span<const float> logits, float largest, const PlanSample& want, double uniform);
  void top(std::span<const float> logits, int count, double log_sum, SampleResult& result);

  std::vector<TokenLogprob> candidates_;  // (vocab) room: id and scaled logit
  std::vector<float> weights_;            // (vocab) room
};

}  // namespace shardline
