// Text on its way out: held back while it could be the beginning of a stop string, cut where one is complete. What comes out does not
// depend on how the text was cut into pieces. Linear in the text (Knuth, Morris, Pratt 1977).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shardline::launcher {

class StopFilter {  // copies share the tables
 public:
  explicit StopFilter(const std::vector<std::string>& stops);  // none of them empty

  std::string push(std::string_view text);  // what may go out now
  std::string finish();                     // what was held back; nothing where a stop string was found

  // The stop string that was complete first (of several at once the longest); empty while none is.
  const std::string& found() const { return found_; }

 private:
  struct Pattern {
    std::string stop;
    std::vector<std::size_t> fallback;  // [matched]: the longest proper prefix of stop that ends stop[0, matched)
  };
  void advance(char c);

  std::shared_ptr<const std::vector<Pattern>> patterns_;
  std::vector<std::size_t> matched_;  // per pattern: the longest prefix of stop that ends the text so far
  std::string held_;
  std::string found_;
};

}  // namespace shardline::launcher
