// The values that cross the seam between scheduler and ranks. Plain data: a plan is self-contained and idempotent, so
// running it twice writes the same values to the same KV slots and returns the same result.
//
//   scheduler --StepPlan--> executor --the same StepPlan--> every rank;  last stage --StepResult--> scheduler
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/types.h"

namespace shardline {

// One sequence's share of a plan: rows [first_row, first_row + rows) hold its tokens at positions first_position onward.
struct PlanSequence {
  SlotId slot = 0;
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
  std::int32_t first_position = 0;
  std::int32_t first_block = 0;  // its block table: StepPlan::block_tables[first_block, first_block + blocks)
  std::int32_t blocks = 0;       // covers every position up to first_position + rows
};

// How the token after a row is chosen. Neutral values: temperature 0 is greedy; top_k 0, top_p 1, min_p 0 are off.
struct Sampling {
  float temperature = 0;
  std::int32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  std::uint64_t seed = 0;     // with choice and position the whole key of the random number (Philox)
  std::uint32_t choice = 0;   // index among a request's n
  std::int32_t logprobs = -1; // -1: none; k: log probability of the chosen token and of the k best
  bool hash_logits = false;   // return a hash over the bits of the row's logits
  TokenId target = -1;        // >= 0: do not sample; return the log probability of this token (perplexity)
};

struct PlanSample {
  std::int32_t row = 0;       // row whose logits are wanted
  SlotId slot = 0;
  std::int32_t position = 0;  // of the token that is drawn: the row's position + 1
  Sampling sampling;
};

struct StepPlan {
  std::uint64_t epoch = 0;   // of the job; plans of another epoch are refused
  std::uint64_t number = 0;  // counts up within an epoch
  std::vector<TokenId> tokens;         // (rows)
  std::vector<PlanSequence> sequences; // rows in ascending order, without gaps
  std::vector<BlockId> block_tables;   // all sequences' tables, one after another
  std::vector<PlanSample> samples;     // in ascending order of row

  int rows() const { return static_cast<int>(tokens.size()); }
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

struct SampleResult {
  SlotId slot = 0;
  TokenId token = 0;
  bool finite = true;                // false: a logit of this row was NaN or infinite; token is meaningless
  float logprob = 0;                 // of token, by the unmodified distribution; set where logprobs >= 0 or target >= 0
  float log_sum = 0;                 // log of the sum of exp(logit) over the vocabulary: logit = logprob + log_sum; set with logprob
  std::uint64_t logits_hash = 0;     // set where hash_logits
  std::vector<TokenLogprob> top;     // the k best, best first; ties go to the lower id
};

struct StepResult {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  std::vector<SampleResult> samples;  // in the plan's order
  double seconds = 0;                 // wall time of the last stage
};

}  // namespace shardline
