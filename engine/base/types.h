// Plain names for the numbers that cross folders.
#pragma once
#include <cstdint>

namespace shardline {

using TokenId = std::int32_t;   // index into the vocabulary
using BlockId = std::int32_t;   // index of a KV block; the same block on every rank and layer
using SlotId = std::int32_t;    // what the scheduler calls a running sequence in plans and results

inline constexpr int kBlockTokens = 16;  // tokens of one KV block

}  // namespace shardline
