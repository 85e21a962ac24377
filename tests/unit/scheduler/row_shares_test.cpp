#include "scheduler/row_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace shardline::scheduler {
namespace {

using testing::ElementsAre;

class RowShares : public testing::Test {
 protected:
  void prefill(int tokens, int priority = 0) {
    Group& group = groups_.emplace_back();
    group.request.prompt.resize(static_cast<std::size_t>(tokens));
    group.priority = priority;
    group.choices.resize(1);
    group.choices[0].group = &group;
    running_.push_back(&group.choices[0]);
  }
  void decode(std::uint64_t last_plan, bool in_flight = false) {
    prefill(10);
    Sequence& s = *running_.back();
    s.decoding = true;
    s.computed = 10;
    if (!in_flight) s.answer.push_back(0);
    s.last_plan = last_plan;
  }
  std::vector<int> shares(int max_rows, int depth = 1, std::uint64_t number = 100) {
    Limits limits;
    limits.max_rows = max_rows;
    limits.depth = depth;
    std::vector<int> rows;
    share_rows(running_, limits, number, rows);
    return rows;
  }

 private:
  std::deque<Group> groups_;
  std::vector<Sequence*> running_;
};

TEST_F(RowShares, DecodesComeFirstAndPrefillTakesTheRest) {
  prefill(8192);
  for (int i = 0; i < 3; ++i) decode(99);
  EXPECT_THAT(shares(64), ElementsAre(61, 1, 1, 1));
  EXPECT_THAT(shares(4), ElementsAre(1, 1, 1, 1));
}

TEST_F(RowShares, PromptsShareAPlanInOrder) {
  for (const int tokens : {20, 30, 40}) prefill(tokens);
  EXPECT_THAT(shares(100), ElementsAre(20, 30, 40));
  EXPECT_THAT(shares(60), ElementsAre(20, 30, 10));
  EXPECT_THAT(shares(10), ElementsAre(10, 0, 0));
}

TEST_F(RowShares, ShortPromptsSlipPastALongOneOnHalfTheRows) {
  for (const int tokens : {1000, 30, 25, 15, 5}) prefill(tokens);
  EXPECT_THAT(shares(100), ElementsAre(50, 30, 0, 15, 5));
}

TEST_F(RowShares, NobodySlipsPastAHigherPriority) {
  prefill(1000, 0);
  prefill(10, 0);
  prefill(10, 1);
  EXPECT_THAT(shares(100), ElementsAre(90, 10, 0));
}

TEST_F(RowShares, DecodesSpreadOverThePlansInFlight) {
  for (int i = 0; i < 5; ++i) decode(99);
  EXPECT_THAT(shares(64, 2), ElementsAre(1, 1, 1, 0, 0));
  EXPECT_THAT(shares(64, 4), ElementsAre(1, 1, 0, 0, 0));
}

TEST_F(RowShares, APromptIsCutIntoChunksForThePipeline) {
  prefill(1200);
  EXPECT_THAT(shares(2048, 1), ElementsAre(1200));
  EXPECT_THAT(shares(2048, 2), ElementsAre(300));
  EXPECT_THAT(shares(2048, 4), ElementsAre(150));
  EXPECT_THAT(shares(2048, 8), ElementsAre(128));
  EXPECT_THAT(shares(100, 2), ElementsAre(100));
}

TEST_F(RowShares, WhoWaitsForAResultIsNotPlanned) {
  decode(99, true);
  decode(99);
  EXPECT_THAT(shares(64, 2), ElementsAre(0, 1));
}

TEST_F(RowShares, UnevenSharesAreEvenedOutAndNobodyIsPutOffTwice) {
  for (int i = 0; i < 2; ++i) decode(99, true);
  for (int i = 0; i < 6; ++i) decode(98);
  EXPECT_THAT(shares(64, 2, 100), ElementsAre(0, 0, 1, 1, 1, 1, 0, 0));
  EXPECT_THAT(shares(64, 2, 101), ElementsAre(0, 0, 1, 1, 1, 1, 1, 1));
}

TEST_F(RowShares, WhoIsDueComesBeforeWhoIsEarly) {
  decode(99);
  decode(98);
  EXPECT_THAT(shares(64, 2), ElementsAre(0, 1));
}

}  // namespace
}  // namespace shardline::scheduler
