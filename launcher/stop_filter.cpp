#include "launcher/stop_filter.h"

#include <algorithm>
#include <utility>

namespace shardline::launcher {

StopFilter::StopFilter(const std::vector<std::string>& stops) : matched_(stops.size()) {
  std::vector<Pattern> patterns;
  for (const std::string& stop : stops) {
    Pattern p{stop, std::vector<std::size_t>(stop.size() + 1, 0)};
    for (std::size_t i = 1, k = 0; i < stop.size(); ++i) {
      while (k > 0 && stop[i] != stop[k]) k = p.fallback[k];
      k += stop[i] == stop[k];
      p.fallback[i + 1] = k;
    }
    patterns.push_back(std::move(p));
  }
  patterns_ = std::make_shared<const std::vector<Pattern>>(std::move(patterns));
}

void StopFilter::advance(char c) {
  for (std::size_t i = 0; i < matched_.size(); ++i) {
    const auto& [stop, fallback] = (*patterns_)[i];
    std::size_t& matched = matched_[i];
    while (matched > 0 && stop[matched] != c) matched = fallback[matched];
    matched += stop[matched] == c;
    if (matched == stop.size() && stop.size() > found_.size()) found_ = stop;
  }
}

std::string StopFilter::push(std::string_view text) {
  if (!found_.empty()) return {};
  if (matched_.empty()) return std::string(text);
  for (const char c : text) {
    held_ += c;
    advance(c);
    if (found_.empty()) continue;
    held_.resize(held_.size() - found_.size());
    return std::exchange(held_, {});
  }
  const std::size_t keep = *std::ranges::max_element(matched_);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopFilter::finish() { return std::exchange(held_, {}); }

}  // namespace shardline::launcher
