#include "engine/text/special_tokens.h"

namespace shardline {
namespace {

bool is_matched(TokenKind kind) { return kind == TokenKind::control || kind == TokenKind::user_defined; }

std::size_t total_bytes(const TokenizerSpec& spec) {
  std::size_t bytes = 0;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) bytes += is_matched(spec.kinds[id]) ? spec.tokens[id].size() : 0;
  return bytes;
}

}  // namespace

SpecialTokens::SpecialTokens(const TokenizerSpec& spec) : child_(total_bytes(spec)), nodes_(1) {
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!is_matched(spec.kinds[id]) || spec.tokens[id].empty()) continue;
    std::uint32_t node = 0;
    for (const char byte : spec.tokens[id]) {
      child_.insert(key(node, byte), static_cast<std::uint32_t>(nodes_.size()));
      node = child_[key(node, byte)];
      if (node == nodes_.size()) nodes_.emplace_back();
    }
    begins_[static_cast<unsigned char>(spec.tokens[id][0])] = true;
    (spec.kinds[id] == TokenKind::control ? nodes_[node].control : nodes_[node].user_defined) = static_cast<TokenId>(id);
  }
}

std::optional<SpecialTokens::Match> SpecialTokens::match(std::string_view text, std::size_t special_bytes) const {
  if (!begins_[static_cast<unsigned char>(text[0])]) return std::nullopt;
  std::optional<Match> longest;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = child_[key(node, text[i])];
    if (node == FlatMap::kNone) break;
    const TokenId id = nodes_[node].control >= 0 && i < special_bytes ? nodes_[node].control : nodes_[node].user_defined;
    if (id >= 0) longest = Match{id, i + 1};
  }
  return longest;
}

}  // namespace shardline
