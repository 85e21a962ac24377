#include "launcher/stop_filter.h"

#include <gtest/gtest.h>

#include <random>

namespace shardline::launcher {
namespace {

struct Outcome {
  std::string text, found;
  bool operator==(const Outcome&) const = default;
};

// Pushes the text in pieces that end at `cuts`.
Outcome run(const std::vector<std::string>& stops, std::string_view text, const std::vector<std::size_t>& cuts = {}) {
  StopFilter filter(stops);
  std::string out;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts) {
    out += filter.push(text.substr(begin, cut - begin));
    begin = cut;
  }
  out += filter.push(text.substr(begin));
  out += filter.finish();
  return {out, filter.found()};
}

TEST(StopFilter, CutsBeforeTheStringThatIsCompleteFirst) {
  EXPECT_EQ(run({}, "abc"), (Outcome{"abc", ""}));
  EXPECT_EQ(run({"\n\n"}, "one\ntwo\n\nthree"), (Outcome{"one\ntwo", "\n\n"}));
  EXPECT_EQ(run({"x"}, "xyz"), (Outcome{"", "x"}));
  EXPECT_EQ(run({"bcd", "c"}, "abcd"), (Outcome{"ab", "c"}));
  EXPECT_EQ(run({"c", "abc", "bc"}, "xabc"), (Outcome{"x", "abc"}));  // complete at once: the longest
  EXPECT_EQ(run({"aab"}, "aaab"), (Outcome{"a", "aab"}));
  EXPECT_EQ(run({"abab", "abc"}, "ababc"), (Outcome{"", "abab"}));
  EXPECT_EQ(run({"nope"}, "no, nop"), (Outcome{"no, nop", ""}));
  EXPECT_EQ(run({"ä"}, "naïve är"), (Outcome{"naïve ", "ä"}));
}

TEST(StopFilter, HoldsBackOnlyWhatCouldBeginAStopString) {
  StopFilter filter({"</s>", "STOP"});
  EXPECT_EQ(filter.push("a <"), "a ");
  EXPECT_EQ(filter.push("/"), "");
  EXPECT_EQ(filter.push("p> S"), "</p> ");
  EXPECT_EQ(filter.push("T"), "");
  EXPECT_EQ(filter.push("ST"), "ST");
  EXPECT_EQ(filter.push("OP and more"), "");
  EXPECT_EQ(filter.found(), "STOP");
  EXPECT_EQ(filter.push("nothing more"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilter, DoesNotDependOnHowTheTextIsCut) {
  std::mt19937 random(7);
  const auto letters = [&](std::size_t count) {
    std::string s;
    while (s.size() < count) s += static_cast<char>('a' + random() % 2);
    return s;
  };
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (unsigned i = 0; i < 1 + random() % 3; ++i) stops.push_back(letters(3 + random() % 6));
    const std::string text = letters(40);
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < text.size(); ++i)
      if (random() % 3 == 0) cuts.push_back(i);
    const Outcome whole = run(stops, text);
    ASSERT_EQ(run(stops, text, cuts), whole) << "round " << round;
    for (const std::string& stop : stops) ASSERT_EQ(whole.text.find(stop), std::string::npos);
    found += !whole.found.empty();
  }
  EXPECT_GT(found, 500);
  EXPECT_LT(found, 2900);
}

TEST(StopFilter, CopiesAreIndependent) {
  const StopFilter fresh({"ab"});
  StopFilter one = fresh, two = fresh;
  EXPECT_EQ(one.push("a"), "");
  EXPECT_EQ(two.push("b"), "b");
  EXPECT_EQ(one.push("b"), "");
  EXPECT_EQ(one.found(), "ab");
  EXPECT_EQ(two.found(), "");
}

}  // namespace
}  // namespace shardline::launcher
