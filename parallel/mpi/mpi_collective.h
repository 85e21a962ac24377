// The Collective of a group whose ranks do not all share memory. MPI moves bytes and never adds: roots are gathered and the tree is
// finished here, so the bits are those of every other Collective.
#pragma once
#include <vector>

#include "engine/collective.h"
#include "parallel/executor_options.h"
#include "parallel/mpi/pump.h"

namespace shardline::parallel {

class MpiCollective final : public Collective {
 public:
  // `ranks`: world ranks of the group, in its order. `tag`: the group's own on every pair of its ranks.
  MpiCollective(Pump& pump, const JobAbort& abort, std::vector<int> ranks, int rank, int tag, Duration patience, Exchange exchange);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  void sum(const ReductionTree& tree, std::span<const float> roots, std::span<float> total) override;
  void gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) override;

 private:
  struct Piece {
    const float* roots;  // (own roots, stride), the rows' first n columns are the piece
    std::size_t stride, n;
    float* total;  // (n)
  };
  void sum_piece(const ReductionTree& tree, const Piece& piece, bool two_shot);
  void share_slices(const Piece& piece);
  void run(const OperationPtr& operation);

  Pump& pump_;
  const JobAbort& abort_;
  std::vector<int> ranks_;
  int rank_, tag_;
  Duration patience_;
  Exchange choice_;
};

}  // namespace shardline::parallel
