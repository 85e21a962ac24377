// The Collective of ranks that share memory. Everything is a sequence of exchanges: in exchange s a rank fills its slot s mod 2, publishes
// s, waits until its peers have published s, and reads their slots. A rank that publishes s has read everything of s - 1, so a slot may be
// filled again once all have published the exchange after its last use: two slots per rank and one wait per exchange do.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/collective.h"
#include "parallel/executor_options.h"
#include "parallel/signal.h"

namespace shardline::parallel {

class ShmCollective final : public Collective {
 public:
  static constexpr std::size_t kSlotFloats = 64 * 1024;  // larger payloads go in pieces, which stay in the second-level cache
  static constexpr std::size_t bytes(int size, std::size_t slot_floats = kSlotFloats) {
    return static_cast<std::size_t>(size) * (sizeof(Signal) + 2 * slot_floats * sizeof(float));
  }

  struct Group {
    int rank = 0, size = 1;
    int first_rank = 0;  // world rank of the group's rank 0, for messages
  };
  // `memory`: bytes(size, slot_floats), zero-filled before the first use by any rank, aligned to 128.
  // slot_floats: a multiple of 32, at least 16 for each root that a rank may have.
  ShmCollective(std::byte* memory, const Group& group, const Waiting& how, Duration patience, Exchange exchange,
                std::size_t slot_floats = kSlotFloats);

  int rank() const override { return group_.rank; }
  int size() const override { return group_.size; }
  void sum(const ReductionTree& tree, std::span<const float> roots, std::span<float> total) override;
  void gather(std::span<const std::size_t> counts, std::span<const float> mine, std::span<float> all) override;

 private:
  struct Piece {
    const float* roots;  // (own roots, stride), the rows' first n columns are the piece
    std::size_t stride, n;
    float* total;  // (n)
  };
  void sum_piece(const ReductionTree& tree, const Piece& piece, bool two_shot);
  bool choose_two_shot(std::size_t roots, std::size_t bytes) const;

  float* begin_exchange();  // the slot to fill
  void publish();
  void wait_for(int peer, std::uint32_t exchange);
  void wait_for_all();
  float* slot(int rank) const { return slots_ + (static_cast<std::size_t>(rank) * 2 + (exchange_ & 1)) * slot_floats_; }

  Signal* published_;  // [rank]
  float* slots_;       // [rank][2][slot_floats]
  Group group_;
  Waiting how_;
  Duration patience_;
  Exchange choice_;
  std::size_t slot_floats_;
  std::uint32_t exchange_ = 0;        // number of the exchange that this rank is in
  std::vector<const float*> pieces_;  // all ranks' roots, of one piece
};

}  // namespace shardline::parallel
