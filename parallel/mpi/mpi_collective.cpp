#include "parallel/mpi/mpi_collective.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "parallel/tree_sum.h"

namespace shardline::parallel {
namespace {

constexpr std::size_t kPieceFloats = 256 * 1024;  // columns of a sum done at once: bounds the buffers
constexpr std::size_t kTwoShotBytes = 32 * 1024;

// Builds an operation of floats: what is sent is copied in, what comes is found at the offset returned.
struct Builder {
  int tag;
  OperationPtr operation = std::make_shared<Operation>();

  std::size_t reserve(std::size_t floats) {
    const std::size_t offset = operation->buffer.size();
    operation->buffer.resize(offset + floats * sizeof(float));
    return offset;
  }
  void append(const float* data, std::size_t floats) {
    const std::size_t offset = reserve(floats);
    if (floats != 0) std::memcpy(operation->buffer.data() + offset, data, floats * sizeof(float));
  }
  void send(int peer, std::size_t offset) { add(Transfer::send, peer, offset, operation->buffer.size() - offset); }
  std::size_t receive(int peer, std::size_t floats) {
    const std::size_t offset = reserve(floats);
    add(Transfer::receive, peer, offset, floats * sizeof(float));
    return offset;
  }
  void add(Transfer::Kind kind, int peer, std::size_t offset, std::size_t bytes) {
    if (bytes != 0) operation->transfers.push_back({kind, peer, tag, offset, bytes});
  }
  const float* at(std::size_t offset) const { return reinterpret_cast<const float*>(operation->buffer.data() + offset); }
};

}  // namespace

MpiCollective::MpiCollective(Pump& pump, const JobAbort& abort, std::vector<int> ranks, int rank, int tag, Duration patience,
                             Exchange exchange)
    : pump_(pump), abort_(abort), ranks_(std::move(ranks)), rank_(rank), tag_(tag), patience_(patience), choice_(exchange) {}

void MpiCollective::run(const OperationPtr& operation) {
  if (operation->transfers.empty()) return;
  pump_.post(operation);
  const Wake wake = pump_.wait(*operation, Clock::now() + patience_);
  if (wake == Wake::ready) return;
  if (abort_.raised()) throw RankLost(abort_.error().message);
  throw RankLost(fmt::format("an exchange of ranks {} did not end within {:.1f} s", fmt::join(ranks_, ", "),
                             std::chrono::duration<double>(patience_).count()));
}

void MpiCollective::sum(const ReductionTree& tree, std::span<const float> roots, std::span<float> total) {
  CHECK(tree.ranks() == size() && roots.size() == tree.roots(rank_).size() * total.size(), "{} roots of {} columns on rank {} of {}",
        roots.size(), total.size(), rank_, tree.ranks());
  const bool two_shot = choice_ == Exchange::automatic ? size() > 2 && total.size_bytes() >= kTwoShotBytes : choice_ == Exchange::two_shot;
  for (std::size_t at = 0; at < total.size(); at += kPieceFloats)
    sum_piece(tree, {roots.data() + at, total.size(), std::min(kPieceFloats, total.size() - at), total.data() + at}, two_shot);
}

// Every peer gets the columns that it finishes: all of them in a one-shot exchange, its slice in a two-shot one.
void MpiCollective::sum_piece(const ReductionTree& tree, const Piece& piece, bool two_shot) {
  const auto columns_of = [&](int r) { return two_shot ? column_slice(piece.n, size(), r) : Columns{0, piece.n}; };
  const Columns mine = columns_of(rank_);
  Builder builder{tag_};
  std::vector<std::size_t> offsets(ranks_.size());
  for (int r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    const int peer = ranks_[static_cast<std::size_t>(r)];
    const Columns theirs = columns_of(r);
    const std::size_t begin = builder.reserve(0);
    for (std::size_t i = 0; i < tree.roots(rank_).size(); ++i) builder.append(piece.roots + i * piece.stride + theirs.begin, theirs.size());
    builder.send(peer, begin);
    offsets[static_cast<std::size_t>(r)] = builder.receive(peer, tree.roots(r).size() * mine.size());
  }
  run(builder.operation);

  std::vector<const float*> pieces;
  for (int r = 0; r < size(); ++r)
    for (std::size_t i = 0; i < tree.roots(r).size(); ++i)
      pieces.push_back(r == rank_ ? piece.roots + i * piece.stride + mine.begin
                                  : builder.at(offsets[static_cast<std::size_t>(r)]) + i * mine.size());
  finish_tree(tree.finish_merges(), pieces, 0, mine.size(), piece.total + mine.begin);
  if (two_shot) share_slices(piece);
}

void MpiCollective::share_slices(const Piece& piece) {
  const Columns mine = column_slice(piece.n, size(), rank_);
  Builder builder{tag_};
  builder.append(piece.total + mine.begin, mine.size());
  std::vector<std::size_t> offsets(ranks_.size());
  for (int r = 0; r < size(); ++r) {
    if (r == rank_) continue;
    builder.add(Transfer::send, ranks_[static_cast<std::size_t>(r)], 0, mine.size() * sizeof(float));
    offsets[static_cast<std::size_t>(r)] = builder.receive(ranks_[static_cast<std::size_t>(r)], column_slice(piece.n, size(), r).size());
  }
  run(builder.operation);
  for (int r = 0; r < size(); ++r)
    if (const Columns theirs = column_slice(piece.n, size(), r); r != rank_)
      std::copy_n(builder.at(offsets[static_cast<std::size_t>(r)]), theirs.size(), piece.total + theirs.begin);
}

void MpiCollective::gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) {
  CHECK(counts.size() == ranks_.size() && mine.size() == counts[static_cast<std::size_t>(rank_)], "{} floats of rank {}", mine.size(),
        rank_);
  Builder builder{tag_};
  if (rank_ != 0) {
    builder.append(mine.data(), mine.size());
    builder.send(ranks_[0], 0);
    return run(builder.operation);
  }
  for (std::size_t r = 1; r < counts.size(); ++r) builder.receive(ranks_[r], counts[r]);
  run(builder.operation);
  std::copy(mine.begin(), mine.end(), all.begin());
  std::copy_n(builder.at(0), all.size() - mine.size(), all.begin() + static_cast<std::ptrdiff_t>(mine.size()));
}

}  // namespace shardline::parallel
