// "Did you mean ...?": the words nearest to one that is unknown.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shardline::launcher {

// Insertions, deletions, substitutions and swaps of neighbours between two words (Damerau 1964, optimal string alignment).
int edit_distance(std::string_view a, std::string_view b);

// At most `most` of the candidates, nearest first, that differ from the word in at most a third of its letters (but two at least).
std::vector<std::string> nearest(std::string_view word, std::span<const std::string> candidates, std::size_t most = 1);

}  // namespace shardline::launcher
