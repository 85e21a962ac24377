#include "launcher/nearest.h"

#include <gtest/gtest.h>

namespace shardline::launcher {
namespace {

TEST(EditDistance, CountsEachKindOfSlipOnce) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("port", ""), 4);
  EXPECT_EQ(edit_distance("port", "prot"), 1);   // swapped
  EXPECT_EQ(edit_distance("port", "pors"), 1);   // replaced
  EXPECT_EQ(edit_distance("port", "ports"), 1);  // one more
  EXPECT_EQ(edit_distance("port", "pot"), 1);    // one less
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(Nearest, PutsTheNearestFirstAndLeavesOutTheUnlike) {
  const std::vector<std::string> words{"--temperature", "--top-p", "--top-k", "--tp"};
  EXPECT_EQ(nearest("--temprature", words), std::vector<std::string>{"--temperature"});
  EXPECT_EQ(nearest("--top-q", words, 2), (std::vector<std::string>{"--top-k", "--top-p"}));
  EXPECT_TRUE(nearest("--banana", words).empty());
}

}  // namespace
}  // namespace shardline::launcher
