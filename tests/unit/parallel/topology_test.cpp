#include "parallel/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shardline::parallel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Topology, TensorParallelRanksAreNeighbours) {
  const Topology t = Topology::make(6, 3, 2, 10).value();
  EXPECT_EQ(t.world(), 6);
  EXPECT_EQ(t.stage(4), 1);
  EXPECT_EQ(t.tp_rank(4), 1);
  EXPECT_EQ(t.rank(1, 1), 4);
  EXPECT_EQ(t.result_rank(), 3);
  const StageShape first = t.shape(2), last = t.shape(3);
  EXPECT_EQ(first.tp_rank, 2);
  EXPECT_EQ(first.tp_size, 3);
  EXPECT_EQ(first.layers, (shardline::Run{0, 5}));
  EXPECT_TRUE(first.first && !first.last);
  EXPECT_EQ(last.layers, (shardline::Run{5, 10}));
  EXPECT_TRUE(!last.first && last.last);
}

TEST(Topology, LayersAreBalancedByCost) {
  EXPECT_THAT(Topology::make(4, 1, 4, 30)->layer_counts(), ElementsAre(8, 8, 7, 7));
  EXPECT_THAT(Topology::make(3, 1, 3, 10, {}, {1, 0, 2})->layer_counts(), ElementsAre(4, 4, 2));  // the head costs two layers
  EXPECT_THAT(Topology::make(3, 1, 3, 10, {}, {1, 3, 0})->layer_counts(), ElementsAre(2, 4, 4));  // and the embedding three
  EXPECT_THAT(Topology::make(2, 1, 2, 4, {}, {1, 0, 100})->layer_counts(), ElementsAre(3, 1));    // every stage has a layer
}

TEST(Topology, TakesLayersAsTheyAreGiven) {
  const int layers[] = {8, 8, 7, 7};
  const Topology t = Topology::make(8, 2, 4, 30, layers).value();
  EXPECT_EQ(t.layers(2), (shardline::Run{16, 23}));
  EXPECT_EQ(t.layers(3), (shardline::Run{23, 30}));
}

TEST(Topology, ErrorsHoldBothNumbers) {
  const auto message = [](int world, int tp, int pp, std::vector<int> layers) {
    return Topology::make(world, tp, pp, 30, layers).error().message;
  };
  EXPECT_EQ(message(3, 2, 2, {}), "--tp 2 x --pp 2 need 4 ranks, there are 3");
  EXPECT_EQ(message(0, 0, 2, {}), "--tp 0 --pp 2: both are at least 1");
  EXPECT_EQ(message(31, 1, 31, {}), "--pp 31: the model has 30 layers, and every stage needs one");
  EXPECT_EQ(message(2, 1, 2, {10, 10, 10}), "--pp-layers names 3 stages, --pp is 2");
  EXPECT_EQ(message(2, 1, 2, {10, 10}), "--pp-layers sums to 20, the model has 30 layers");
  EXPECT_EQ(message(2, 1, 2, {30, 0}), "--pp-layers gives stage 1 0 layers, of 30");
  EXPECT_EQ(message(4, 65536, 65536, {}), "--tp 65536 x --pp 65536 need 4294967296 ranks, there are 4");
  EXPECT_EQ(Topology::make(3, 2, 2, 30).error().code, ErrorCode::usage);
}

TEST(Topology, TableForPeople) {
  ModelConfig config;
  config.query_heads = 9;
  config.kv_heads = 3;
  std::vector<RankRow> rows = topology_rows(Topology::make(4, 2, 2, 30).value(), config);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].query_heads, (shardline::Run{0, 4}));
  EXPECT_EQ(rows[0].kv_heads, (shardline::Run{0, 2}));  // query head 3 belongs to KV head 1, which both ranks keep
  EXPECT_EQ(rows[1].query_heads, (shardline::Run{4, 9}));
  EXPECT_EQ(rows[1].kv_heads, (shardline::Run{1, 3}));
  EXPECT_EQ(topology_table(rows),
            "rank  stage  tp   layers    heads  kv heads\n"
            "   0      0   0     0-14      0-3       0-1\n"
            "   1      0   1     0-14      4-8       1-2\n"
            "   2      1   0    15-29      0-3       0-1\n"
            "   3      1   1    15-29      4-8       1-2\n");
  rows[1].host = "node-17";
  rows[1].weights = 3 << 20;
  rows[1].buffers = 1 << 20;
  rows[1].kv = 200 << 20;
  EXPECT_THAT(topology_table(rows), HasSubstr("kv heads  weights MiB  buffers MiB    KV MiB\n"));
  EXPECT_THAT(topology_table(rows),
              HasSubstr("   1  node-17      0   1     0-14      4-8       1-2          3.0          1.0     200.0\n"));
}

}  // namespace
}  // namespace shardline::parallel
