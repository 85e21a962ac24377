#include "parallel/shm_collective.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "parallel/tree_sum.h"

namespace shardline::parallel {
namespace {

constexpr std::size_t kLine = 16;  // floats of a cache line: where slices and pieces are cut

// Bytes less to read that pay for the second wait of a two-shot exchange: a cache line's way between spinning ranks, or two wake-ups.
constexpr double kGainSpinning = 1024, kGainSleeping = 256 * 1024;

std::size_t round_up(std::size_t n) { return (n + kLine - 1) / kLine * kLine; }

void copy(float* to, const float* from, std::size_t n) {
  if (n != 0) std::memcpy(to, from, n * sizeof(float));
}

}  // namespace

ShmCollective::ShmCollective(std::byte* memory, const Group& group, const Waiting& how, Duration patience, Exchange exchange,
                             std::size_t slot_floats)
    : published_(reinterpret_cast<Signal*>(memory)),
      slots_(reinterpret_cast<float*>(memory + static_cast<std::size_t>(group.size) * sizeof(Signal))),
      group_(group),
      how_(how),
      patience_(patience),
      choice_(exchange),
      slot_floats_(slot_floats) {
  CHECK(slot_floats % 32 == 0, "slot of {} floats", slot_floats);
}

void ShmCollective::wait_for(int peer, std::uint32_t exchange) {
  Signal& signal = published_[peer];
  if (signal.reached(exchange)) return;
  const Wake wake = signal.wait(exchange, how_, Clock::now() + patience_);
  if (wake == Wake::ready) return;
  if (wake == Wake::aborted) throw RankLost(how_.abort->error().message);
  throw RankLost(fmt::format("rank {} did not come to exchange {} of its group within {:.1f} s", group_.first_rank + peer, exchange,
                             std::chrono::duration<double>(patience_).count()));
}

void ShmCollective::wait_for_all() {
  for (int peer = 0; peer < group_.size; ++peer)
    if (peer != group_.rank) wait_for(peer, exchange_);
}

float* ShmCollective::begin_exchange() {
  wait_for_all();  // the slot's last readers are done; after a sum they are known to be
  ++exchange_;
  return slot(group_.rank);
}

void ShmCollective::publish() { published_[group_.rank].publish(exchange_, how_.shared); }

// Of N ranks with P roots in all, one reads (N-1)/N P columns of its peers in a one-shot exchange, and in a two-shot one an N-th of that
// and (N-1)/N columns of totals. The same choice on every rank.
bool ShmCollective::choose_two_shot(std::size_t roots, std::size_t bytes) const {
  if (choice_ != Exchange::automatic) return choice_ == Exchange::two_shot;
  const double others = 1.0 - 1.0 / group_.size;
  const double gain = others * (others * static_cast<double>(roots) - 1) * static_cast<double>(bytes);
  return gain >= (how_.spin > Duration::zero() ? kGainSpinning : kGainSleeping);
}

void ShmCollective::sum(const ReductionTree& tree, std::span<const float> roots, std::span<float> total) {
  std::size_t most = 1;
  for (int r = 0; r < group_.size; ++r) most = std::max(most, tree.roots(r).size());
  CHECK(tree.ranks() == group_.size && roots.size() == tree.roots(group_.rank).size() * total.size() && most * kLine <= slot_floats_,
        "{} roots of {} columns on rank {} of {}", roots.size(), total.size(), group_.rank, tree.ranks());
  const std::size_t columns = slot_floats_ / most / kLine * kLine;
  const bool two_shot = choose_two_shot(tree.finish_merges().size(), std::min(columns, total.size()) * sizeof(float));
  for (std::size_t at = 0; at < total.size(); at += columns)
    sum_piece(tree, {roots.data() + at, total.size(), std::min(columns, total.size() - at), total.data() + at}, two_shot);
}

void ShmCollective::sum_piece(const ReductionTree& tree, const Piece& piece, bool two_shot) {
  const std::size_t mine = tree.roots(group_.rank).size(), row = round_up(piece.n);
  const Columns own = two_shot ? column_slice(piece.n, group_.size, group_.rank) : Columns{};  // nobody else reads them
  float* out = begin_exchange();
  for (std::size_t i = 0; i < mine; ++i) {
    const float* root = piece.roots + i * piece.stride;
    copy(out + i * row, root, own.begin);
    copy(out + i * row + own.end, root + own.end, piece.n - own.end);
  }
  publish();
  wait_for_all();

  pieces_.clear();
  for (int r = 0; r < group_.size; ++r) {
    const bool me = r == group_.rank;
    for (std::size_t i = 0; i < tree.roots(r).size(); ++i) pieces_.push_back(me ? piece.roots + i * piece.stride : slot(r) + i * row);
  }
  if (!two_shot) return finish_tree(tree.finish_merges(), pieces_, 0, piece.n, piece.total);

  finish_tree(tree.finish_merges(), pieces_, own.begin, own.end, piece.total);
  copy(begin_exchange(), piece.total + own.begin, own.size());
  publish();
  wait_for_all();
  for (int r = 0; r < group_.size; ++r) {
    const Columns theirs = column_slice(piece.n, group_.size, r);
    if (r != group_.rank) copy(piece.total + theirs.begin, slot(r), theirs.size());
  }
}

void ShmCollective::gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) {
  CHECK(counts.size() == static_cast<std::size_t>(group_.size) && mine.size() == counts[static_cast<std::size_t>(group_.rank)],
        "{} floats of rank {}", mine.size(), group_.rank);
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  if (group_.rank == 0) copy(all.data(), mine.data(), mine.size());
  for (std::size_t at = 0; at < most; at += slot_floats_) {
    const auto piece = [&](std::size_t count) { return std::min(slot_floats_, count - std::min(count, at)); };
    float* out = begin_exchange();
    if (group_.rank != 0 && at < mine.size()) copy(out, mine.data() + at, piece(mine.size()));
    publish();
    if (group_.rank != 0) continue;
    wait_for_all();
    std::size_t start = counts[0];
    for (int r = 1; r < group_.size; start += counts[static_cast<std::size_t>(r)], ++r)
      if (const std::size_t n = piece(counts[static_cast<std::size_t>(r)]); n != 0) copy(all.data() + start + at, slot(r), n);
  }
}

}  // namespace shardline::parallel
