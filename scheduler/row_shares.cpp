#include "scheduler/row_shares.h"

#include <algorithm>

namespace shardline::scheduler {
namespace {

int share_decodes(const std::vector<Sequence*>& running, const Limits& limits, std::uint64_t number, std::vector<int>& rows) {
  const auto ready = [](const Sequence& s) { return s.decoding && s.remaining() > 0; };
  const auto due = [&](const Sequence& s) { return s.last_plan + static_cast<std::uint64_t>(limits.depth) <= number; };
  int decoding = 0, overdue = 0, used = 0;
  for (const Sequence* s : running) {
    decoding += s->decoding;
    overdue += ready(*s) && due(*s);
  }
  int early = (decoding + limits.depth - 1) / limits.depth - overdue;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (!ready(*running[i]) || (!due(*running[i]) && early-- <= 0)) continue;
    rows[i] = 1;
    ++used;
  }
  return used;
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
  share_prefill(running, limits.max_rows - share_decodes(running, limits, number, rows), rows);
}

}  // namespace shardline::scheduler
