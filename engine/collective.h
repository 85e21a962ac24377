// Port: a rank's view of its tensor-parallel group. Implemented in parallel/.
#pragma once
#include <cstddef>
#include <span>

#include "engine/model/reduction_tree.h"

namespace shardline {

// Every rank of the group calls the same methods in the same order with the same sizes, from one thread.
// A lost or silent peer ends the call by throwing RankLost (parallel catches it in the rank's loop).
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // The canonical sum (DESIGN: exactness, rule 1). `roots` holds this rank's subtree sums, (tree.roots(rank()).size(), count);
  // `total` (count) receives the sum of the whole tree, the same bits on every rank. roots and total do not overlap.
  virtual void sum(const ReductionTree& tree, std::span<const float> roots, std::span<float> total) = 0;

  // Concatenates in rank order. counts[r] floats come from rank r, and `all` (sum of counts) receives them on rank 0 only.
  virtual void gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) = 0;
};

// The whole group in one rank: sum copies its single root.
class SoloCollective final : public Collective {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void sum(const ReductionTree&, std::span<const float> roots, std::span<float> total) override;
  void gather(std::span<const std::size_t>, std::span<const float> mine, std::span<float> all) override;
};

}  // namespace shardline
