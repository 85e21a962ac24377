#include "scheduler/sequence.h"

#include <gtest/gtest.h>

#include <numeric>

namespace shardline::scheduler {
namespace {

// A group of two choices whose prompt is 0, 1, 2, ...
Group make_group(int prompt) {
  Group group;
  group.request.prompt.resize(static_cast<std::size_t>(prompt));
  std::iota(group.request.prompt.begin(), group.request.prompt.end(), 0);
  group.choices.resize(2);
  for (Sequence& s : group.choices) s.group = &group;
  return group;
}

void compute(Sequence& s, BlockPool& pool, int end) {
  s.grow(pool, end);
  s.computed = s.returned = end;
  s.publish(pool);
}

TEST(Sequence, TokensRunFromThePromptIntoTheAnswer) {
  Group group = make_group(14);
  Sequence& s = group.choices[0];
  s.answer = {100, 101, 102, 103};
  std::vector<TokenId> tokens;
  s.append_tokens(12, 17, tokens);
  EXPECT_EQ(tokens, (std::vector<TokenId>{12, 13, 100, 101, 102}));
  tokens.clear();
  s.append_tokens(16, 18, tokens);
  EXPECT_EQ(tokens, (std::vector<TokenId>{102, 103}));
  EXPECT_EQ(s.block_tokens(0), (BlockTokens{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 100, 101}));
}

TEST(Sequence, SharesPublishedBlocksButNeverTheLastToken) {
  for (const int prompt : {31, 32, 33, 48}) {
    BlockPool pool(8, true);
    Group group = make_group(prompt);
    compute(group.choices[0], pool, prompt);
    Sequence& second = group.choices[1];
    const int shared = (prompt - 1) / kBlockTokens * kBlockTokens;
    EXPECT_EQ(second.match_prefix(pool), shared) << prompt;
    EXPECT_EQ(second.computed, shared);
    for (std::size_t i = 0; i < second.table.size(); ++i) EXPECT_EQ(second.table[i], group.choices[0].table[i]);
    EXPECT_EQ(second.match_prefix(pool), 0);
  }
}

TEST(Sequence, OnlyReturnedBlocksArePublished) {
  BlockPool pool(8, true);
  Group group = make_group(40);
  Sequence& s = group.choices[0];
  s.grow(pool, 40);
  s.computed = 40;
  s.returned = 31;
  s.publish(pool);
  EXPECT_EQ(s.published, 1);
  EXPECT_EQ(pool.cached(), 1);
}

TEST(Sequence, EqualBlocksBecomeOne) {
  BlockPool pool(8, true);
  Group group = make_group(40);
  Sequence &first = group.choices[0], &second = group.choices[1];
  first.grow(pool, 40);
  second.grow(pool, 40);  // both are computed at the same time: neither finds the other's blocks
  const std::vector<BlockId> own = second.table;
  compute(first, pool, 40);
  compute(second, pool, 40);
  EXPECT_EQ(second.table[0], first.table[0]);
  EXPECT_EQ(second.table[1], first.table[1]);
  EXPECT_EQ(second.table[2], own[2]);
  EXPECT_EQ(second.stale, (std::vector<BlockId>{own[0], own[1]}));
  second.release_stale(pool);
  EXPECT_EQ(pool.available(), 8 - 4);
}

TEST(Sequence, OrderOfService) {
  Group early = make_group(1), late = make_group(1);
  early.arrival = 1;
  late.arrival = 2;
  early.choices[1].choice = late.choices[1].choice = 1;
  EXPECT_TRUE(Before{}(&early.choices[1], &late.choices[0]));
  EXPECT_TRUE(Before{}(&early.choices[0], &early.choices[1]));
  late.priority = -1;
  EXPECT_TRUE(Before{}(&late.choices[1], &early.choices[0]));
}

}  // namespace
}  // namespace shardline::scheduler
