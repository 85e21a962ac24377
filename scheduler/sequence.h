// One choice of a request: its tokens, how far they are computed, and the KV blocks that hold them.
//
//   published blocks * 16 <= returned <= computed <= length       (positions; all are counts from 0)
//   |- in the prefix cache -|- results here -|- in flight -|- not planned yet -|
#pragma once
#include <cstdint>
#include <vector>

#include "scheduler/block_pool.h"
#include "scheduler/scheduler.h"

namespace shardline::scheduler {

inline constexpr SlotId kNoSlot = -1;

constexpr int blocks_for(int tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

struct Group;

struct Sequence {
  enum class State : std::uint8_t {
    held,     // until the request's first choice has computed the prompt's full blocks
    waiting,  // to be admitted for the first time, or again after a preemption
    running,
    retiring,  // ended, but plans in flight name its blocks
    closed,
  };

  Group* group = nullptr;
  int choice = 0;
  State state = State::held;
  std::vector<TokenId> answer;  // tokens generated so far
  int cached_tokens = 0;        // prompt tokens found in the prefix cache
  bool preempted = false;       // at least once

  // While running, and afterwards until no plan in flight names it:
  SlotId slot = kNoSlot;
  std::vector<BlockId> table;  // covers every computed position
  std::vector<BlockId> stale;  // replaced by equal blocks of the cache, still named by plans in flight
  int computed = 0, returned = 0, published = 0;
  bool decoding = false;  // the rows left of prompt and answer were planned once: from here on one row at a time
  int in_flight = 0;      // plans
  std::uint64_t last_plan = 0;

  int length() const;
  int remaining() const { return length() - computed; }  // 0: the next token is not known yet
  PrefixCache::Parent parent_of(int block) const;        // of the block at this index of the table
  BlockTokens block_tokens(int block) const;
  void append_tokens(int first, int end, std::vector<TokenId>& out) const;

  // Takes over the cached blocks that follow the published ones, where nothing else is computed; returns their tokens. The last token
  // is never among them: its row must be computed to draw the next one.
  int match_prefix(BlockPool& pool);
  // Enters the full blocks whose results returned into the cache. Where the cache holds an equal block, that one replaces ours.
  void publish(BlockPool& pool);
  void grow(BlockPool& pool, int end);  // blocks for all positions before `end`
  void release_stale(BlockPool& pool);
  void release_blocks(BlockPool& pool);  // and what was computed is forgotten
};

// A request and its choices. At an address of its own as long as a choice is not closed.
struct Group {
  Request request;
  std::uint64_t arrival = 0;  // counts up
  int priority = 0;           // 0 for all under Policy::fcfs
  PrefixCache::Parent root = kNoBlock;
  bool admitted = false;      // one of the choices ever was
  bool prefix_ready = false;  // the prompt's full blocks are in the cache: no choice is held any more
  int open = 0;               // choices not closed
  std::vector<Sequence> choices;
};

// The order of service: priority, then arrival, then choice.
struct Before {
  bool operator()(const Sequence* a, const Sequence* b) const;
};

}  // namespace shardline::scheduler
