#include "tests/unit/engine/kernels/kernel_fixture.h"

namespace shardline {
namespace {

// A sequence in a pool of pages that is larger and full of NaN where nothing was written.
class Sequence {
 public:
  Sequence(const KernelTable& table, KvType kv, int tokens, int heads, int d, std::mt19937& random)
      : table_(table),
        kv_(kv),
        tokens_(tokens),
        heads_(heads),
        d_(d),
        qkv_(random_floats(static_cast<std::size_t>(tokens * stride()), 1.0f, random)) {
    const int blocks = (tokens + 15) / 16;
    pool_ = AlignedBuffer(static_cast<std::size_t>(blocks + 3) * kv_page_bytes(kv, d));
    std::memset(pool_.data(), 0xFF, pool_.size());
    for (int b = 0; b < blocks; ++b) blocks_.push_back((b * 7 + 2) % (blocks + 3));
    std::sort(blocks_.begin(), blocks_.end(), [](int a, int b) { return a * 5 % 11 < b * 5 % 11; });
    cosines_.assign(static_cast<std::size_t>(tokens * d / 2), 1.0f);
    sines_.assign(cosines_.size(), 0.0f);
    std::vector<BlockId> block_of_row;
    std::vector<std::int32_t> slot_of_row;
    for (int t = 0; t < tokens; ++t) {
      block_of_row.push_back(blocks_[static_cast<std::size_t>(t / 16)]);
      slot_of_row.push_back(t % 16);
    }
    table.kv_store({qkv_.data(), static_cast<std::size_t>(stride()), 1, d, static_cast<std::size_t>(heads * d),
                    static_cast<std::size_t>((heads + 1) * d), rope(), block_of_row.data(), slot_of_row.data(), pool_.data(), 0, kv},
                   {0, tokens});
  }

  Rope rope() const { return {cosines_.data(), sines_.data(), d_}; }
  int stride() const { return (heads_ + 2) * d_; }

  // Rows [begin, end) in tiles of `tile` rows, split over keys in `pieces` where pieces > 1. -> (rows, heads * d)
  std::vector<float> attend(int begin, int end, int tile, int pieces) const {
    std::vector<float> out(static_cast<std::size_t>((end - begin) * heads_ * d_));
    AlignedBuffer scratch(attention_scratch_bytes(d_));
    const float* rows = qkv_.data() + begin * stride();
    for (int r = 0; r < end - begin; r += tile) {
      const Run run{r, std::min(end - begin, r + tile)};
      const int chunks = (begin + run.end - 1) / kChunkKeys + 1;
      AttentionArgs args{rows,
                         static_cast<std::size_t>(stride()),
                         0,
                         heads_,
                         d_,
                         rope(),
                         1.0f / std::sqrt(static_cast<float>(d_)),
                         begin + r,
                         blocks_.data(),
                         pool_.data(),
                         kv_,
                         out.data(),
                         static_cast<std::size_t>(heads_ * d_),
                         0,
                         scratch.data(),
                         {0, chunks},
                         nullptr};
      std::vector<float> partials(static_cast<std::size_t>(chunks * run.size() * heads_ * (d_ + 2)));
      if (pieces > 1) {
        args.partials = partials.data();
        for (int i = pieces - 1; i >= 0; --i) {  // in any order
          args.chunks = even_run(chunks, pieces, i);
          table_.attention(args, run);
        }
        table_.attention_fold(args, run);
      } else {
        table_.attention(args, run);
      }
    }
    return out;
  }

  // In double, by definition.
  std::vector<double> reference(int row) const {
    std::vector<double> out(static_cast<std::size_t>(heads_ * d_));
    for (int h = 0; h < heads_; ++h) {
      std::vector<double> p;
      double largest = -1e300, sum = 0;
      for (int t = 0; t <= row; ++t) {
        double s = 0;
        for (int i = 0; i < d_; ++i)
          s += double(qkv_[static_cast<std::size_t>(row * stride() + h * d_ + i)]) *
               double(qkv_[static_cast<std::size_t>(t * stride() + heads_ * d_ + i)]);
        p.push_back(s / std::sqrt(d_));
        largest = std::max(largest, p.back());
      }
      for (double& v : p) sum += v = std::exp(v - largest);
      for (int t = 0; t <= row; ++t)
        for (int i = 0; i < d_; ++i)
          out[static_cast<std::size_t>(h * d_ + i)] +=
              p[static_cast<std::size_t>(t)] / sum * double(qkv_[static_cast<std::size_t>(t * stride() + (heads_ + 1) * d_ + i)]);
    }
    return out;
  }

 private:
  const KernelTable& table_;
  const KvType kv_;
  const int tokens_, heads_, d_;
  std::vector<float> qkv_, cosines_, sines_;
  AlignedBuffer pool_;
  std::vector<BlockId> blocks_;
};

class AttentionTest : public testing::TestWithParam<const KernelTable*> {};

TEST_P(AttentionTest, EqualsTheDefinition) {
  std::mt19937 random(1);
  for (const KvType kv : {KvType::bf16, KvType::f32})
    for (const auto& [tokens, heads, d] : {std::tuple{1, 1, 16}, {17, 3, 64}, {130, 4, 80}, {300, 8, 32}, {257, 13, 128}}) {
      const Sequence s(*GetParam(), kv, tokens, heads, d, random);
      const auto out = s.attend(0, tokens, std::max(1, kAttentionVectors / heads), 1);
      for (const int row : {0, tokens / 2, tokens - 1}) {
        const auto want = s.reference(row);
        for (int i = 0; i < heads * d; ++i)
          ASSERT_NEAR(out[static_cast<std::size_t>(row * heads * d + i)], want[static_cast<std::size_t>(i)],
                      kv == KvType::bf16 ? 3e-2 : 5e-6)
              << "tokens " << tokens << " heads " << heads << " d " << d << " row " << row << " " << i;
      }
    }
}

// One row, tiles of any height, prompts that begin anywhere and splits over keys: the same bits. Unwritten slots hold NaN.
TEST_P(AttentionTest, CutsChangeNoBit) {
  std::mt19937 random(2);
  for (const KvType kv : {KvType::bf16, KvType::f32}) {
    const int tokens = 700, heads = 3, d = 64;
    const Sequence s(*GetParam(), kv, tokens, heads, d, random);
    const auto whole = s.attend(0, tokens, 8, 1);
    const auto same = [&](const std::vector<float>& part, int begin) {
      return std::memcmp(part.data(), whole.data() + begin * heads * d, part.size() * 4) == 0;
    };
    for (const int row : {0, 1, 15, 16, 126, 127, 128, 129, 255, 256, 500, 699}) {
      ASSERT_TRUE(same(s.attend(row, row + 1, 1, 1), row)) << row;
      ASSERT_TRUE(same(s.attend(row, row + 1, 1, 3), row)) << row;
    }
    for (const int tile : {1, 3, 5, 7}) ASSERT_TRUE(same(s.attend(101, 300, tile, 1), 101)) << tile;
    ASSERT_TRUE(same(s.attend(650, 700, 8, 4), 650));
  }
}

// Beyond one span of 4,096 keys.
TEST_P(AttentionTest, SpansFoldAlike) {
  std::mt19937 random(3);
  const int tokens = 4096 + 300, heads = 2, d = 16;
  const Sequence s(*GetParam(), KvType::bf16, tokens, heads, d, random);
  const auto tile = s.attend(tokens - 12, tokens, 12, 1);
  for (int r = 0; r < 12; ++r) {
    const auto row = s.attend(tokens - 12 + r, tokens - 11 + r, 1, 5);
    ASSERT_EQ(0, std::memcmp(row.data(), tile.data() + r * heads * d, row.size() * 4)) << r;
  }
  const auto want = s.reference(tokens - 1);
  for (int i = 0; i < heads * d; ++i)
    EXPECT_NEAR(tile[static_cast<std::size_t>(11 * heads * d + i)], want[static_cast<std::size_t>(i)], 2e-2);
}

INSTANTIATE_TEST_SUITE_P(Tables, AttentionTest, testing::ValuesIn(tables_here()), table_name);

}  // namespace
}  // namespace shardline
