#include "scheduler/row_shares.h"

#include <algorithm>

namespace shardline::scheduler {
namespace {

constexpr int kLeastChunk = 128;  // rows; from here on more rows hardly make a row cheaper

int share_decodes(const std::vector<Sequence*>& running, const Limits& limits, std::uint64_t number, std::vector<int>& rows) {
  const auto depth = static_cast<std::uint64_t>(limits.depth);
  const int decoding = static_cast<int>(std::ranges::count(running, true, &Sequence::decoding));
  const int share = (decoding + limits.depth - 1) / limits.depth;
  int used = 0;
  enum Turn { overdue, due, early };  // overdue: put off once already
  for (const Turn turn : {overdue, due, early}) {
    for (std::size_t i = 0; i < running.size(); ++i) {
      const Sequence& s = *running[i];
      const std::uint64_t waited = number - s.last_plan;
      const Turn its_turn = waited > depth ? overdue : waited == depth ? due : early;
      if (!s.decoding || s.remaining() == 0 || its_turn != turn || (turn != overdue && used >= share)) continue;
      rows[i] = 1;
      ++used;
    }
  }
  return used;
}

// Two chunks for each stage, where that leaves them large enough.
int most_prefill(const std::vector<Sequence*>& running, int depth) {
  int prompts = 0;
  for (const Sequence* s : running) prompts += s->decoding ? 0 : s->remaining();
  return depth == 1 ? prompts : std::max(kLeastChunk, (prompts + 2 * depth - 1) / (2 * depth));
}

void share_prefill(const std::vector<Sequence*>& running, int left, std::vector<int>& rows) {
  const auto fits = [&](std::size_t i, int most) { return !running[i]->decoding && running[i]->remaining() <= most; };
  std::size_t i = 0;
  for (; i < running.size() && (running[i]->decoding || fits(i, left)); ++i) {
    if (running[i]->decoding) continue;
    rows[i] = running[i]->remaining();
    left -= rows[i];
  }
  if (i == running.size()) return;
  const std::size_t first_long = i;
  int side = left / 2;
  for (++i; i < running.size() && running[i]->group->priority == running[first_long]->group->priority; ++i) {
    if (!fits(i, side)) continue;
    rows[i] = running[i]->remaining();
    side -= rows[i];
    left -= rows[i];
  }
  rows[first_long] = left;
}

}  // namespace

void share_rows(const std::vector<Sequence*>& running, const Limits& limits, std::uint64_t number, std::vector<int>& rows) {
  rows.assign(running.size(), 0);
  const int left = limits.max_rows - share_decodes(running, limits, number, rows);
  share_prefill(running, std::min(left, most_prefill(running, limits.depth)), rows);
}

}  // namespace shardline::scheduler
