#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace shardline {

std::string IncrementalDecoder::push(TokenId id) {
  pending_ += tokenizer_->bytes(id, special_);
  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Char c = next_utf8(rest);
    if (c.kind == Utf8Char::truncated) break;
    if (c.kind == Utf8Char::valid) {
      text += rest.substr(0, c.bytes);
    } else {
      append_utf8(text, kReplacement);
    }
    rest.remove_prefix(c.bytes);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string IncrementalDecoder::finish() {
  std::string text;
  if (!pending_.empty()) append_utf8(text, kReplacement);
  pending_.clear();
  return text;
}

}  // namespace shardline
