// main() of a GoogleTest binary that is one rank of a job: every rank runs every test, in the same order.
// Rank 0 prints as usual, the others print failures only; the exit status is not 0 where any test failed on the rank.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>

#include "parallel/mpi/job.h"

namespace shardline::parallel {

class FailuresOnly : public testing::EmptyTestEventListener {
 public:
  explicit FailuresOnly(int rank) : rank_(rank) {}
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed())
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, result.file_name() ? result.file_name() : "?", result.line_number(),
                   result.summary());
  }

 private:
  int rank_;
};

inline void keep_quiet_unless_rank_0(int rank) {
  if (rank == 0) return;
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new FailuresOnly(rank));
}

}  // namespace shardline::parallel
