#include "scheduler/sequence.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace shardline::scheduler {

int Sequence::length() const { return static_cast<int>(group->request.prompt.size() + answer.size()); }

PrefixCache::Parent Sequence::parent_of(int block) const { return block == 0 ? group->root : table[static_cast<std::size_t>(block - 1)]; }

void Sequence::append_tokens(int first, int end, std::vector<TokenId>& out) const {
  const auto& prompt = group->request.prompt;
  const int prompt_end = static_cast<int>(prompt.size());
  if (first < prompt_end) out.insert(out.end(), prompt.begin() + first, prompt.begin() + std::min(end, prompt_end));
  if (end > prompt_end) out.insert(out.end(), answer.begin() + std::max(first - prompt_end, 0), answer.begin() + (end - prompt_end));
}

BlockTokens Sequence::block_tokens(int block) const {
  const auto& prompt = group->request.prompt;
  BlockTokens tokens;
  auto position = static_cast<std::size_t>(block) * kBlockTokens;
  for (TokenId& token : tokens) {
    token = position < prompt.size() ? prompt[position] : answer[position - prompt.size()];
    ++position;
  }
  return tokens;
}

int Sequence::match_prefix(BlockPool& pool) {
  const int first = computed;
  while (computed == published * kBlockTokens && computed + kBlockTokens < length()) {
    const BlockId block = pool.find(parent_of(published), block_tokens(published));
    if (block == kNoBlock) break;
    pool.share(block);
    table.push_back(block);
    ++published;
    computed = returned = published * kBlockTokens;
  }
  return computed - first;
}

void Sequence::publish(BlockPool& pool) {
  for (; (published + 1) * kBlockTokens <= returned; ++published) {
    BlockId& own = table[static_cast<std::size_t>(published)];
    const auto parent = parent_of(published);
    const BlockTokens tokens = block_tokens(published);
    const BlockId equal = pool.find(parent, tokens);
    if (equal == kNoBlock) {
      pool.insert(own, parent, tokens);
    } else {
      pool.share(equal);
      stale.push_back(std::exchange(own, equal));
    }
  }
}

void Sequence::grow(BlockPool& pool, int end) {
  while (static_cast<int>(table.size()) < blocks_for(end)) table.push_back(pool.allocate());
}

void Sequence::release_stale(BlockPool& pool) {
  for (const BlockId block : stale) pool.release(block);
  stale.clear();
}

void Sequence::release_blocks(BlockPool& pool) {
  while (!table.empty()) {
    pool.release(table.back());
    table.pop_back();
  }
  computed = returned = published = 0;
}

bool Before::operator()(const Sequence* a, const Sequence* b) const {
  return std::tuple(a->group->priority, a->group->arrival, a->choice) < std::tuple(b->group->priority, b->group->arrival, b->choice);
}

}  // namespace shardline::scheduler
