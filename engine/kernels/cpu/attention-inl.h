// Attention over pages in absolute chunks of 128 keys (kernel_table.h: AttentionFn). What a query gets from a chunk depends on the chunk's
// visible keys alone: not on the other queries of the tile, on how many rows a plan has, or on where the work was cut.
//
// Per chunk: all scores, times log2(e); maximum m over the visible keys; p = 2^(s - m); l = sum p by key mod 16, then one tree; o = P V in
// ascending order.
// Chunks fold left to right into a span of 32, spans fold left to right (Dao et al. 2022; Milakov & Gimelshein 2018).

// How keys and values are read: two neighbouring rows of a page at once, times a pair of numbers.
struct KvBf16 {
  static constexpr KvType type = KvType::bf16;
  using Pair = V::Pair;
  using Pairs = V::Pairs;
  static void store_pairs(Pair* p, const float* x) { V::store_pairs(p, x); }
  static Pairs key(const std::byte* page, int i, int part, int) { return V::load_pairs(page + (i * 16 + part * V::lanes) * 4); }
  static Pairs value(const std::byte* values, int pair, int dim, int d) { return V::load_pairs(values + (pair * d + dim) * 4); }
  static Pairs first(const Pairs& x) { return V::first_of_pairs(x); }
  static V::F dot(const V::F& acc, const Pairs& x, Pair p) { return V::dot2(acc, x, p); }
  // The probabilities of 128 keys as pairs; `room` holds them where they are not the floats themselves.
  static const Pair* pairs(const float* p, float* room, int keys) {
    if constexpr (V::dot_bf16) {
      auto* out = reinterpret_cast<Pair*>(room);
      for (int i = 0; i < keys; i += 16) V::store_pairs(out + i / 2, p + i);
      return out;
    } else {
      return reinterpret_cast<const Pair*>(p);
    }
  }
};

struct KvF32 {
  static constexpr KvType type = KvType::f32;
  struct Pair {
    float even, odd;
  };
  struct Pairs {
    V::F even, odd;
  };
  static void store_pairs(Pair* p, const float* x) { std::memcpy(p, x, 64); }
  static Pairs load(const float* p, int distance) { return {V::load(p), V::load(p + distance)}; }
  static Pairs key(const std::byte* page, int i, int part, int) {
    return load(reinterpret_cast<const float*>(page) + i * 32 + part * V::lanes, 16);
  }
  static Pairs value(const std::byte* values, int pair, int dim, int d) {
    return load(reinterpret_cast<const float*>(values) + 2 * pair * d + dim, d);
  }
  static Pairs first(const Pairs& x) { return {x.even, V::zero()}; }
  static V::F dot(const V::F& acc, const Pairs& x, Pair p) { return V::fma(x.odd, V::set1(p.odd), V::fma(x.even, V::set1(p.even), acc)); }
  static const Pair* pairs(const float* p, float*, int) { return reinterpret_cast<const Pair*>(p); }
};

// Query vectors [first, last) in the largest tiles that the registers hold.
template <class Fn>
void for_vector_tiles(int first, int last, Fn&& fn) {
  int at = first;
  for_row_tiles<kWide ? 12 : 4>(last - first, [&](auto tile, int m) { fn(tile, at + m); });
}

// Softmax state of one query vector: o holds the sum of p v, not yet divided by l.
struct Softmax {
  float m, l;
  float* o;  // (head_dim)
};

inline void fold(Softmax& into, const Softmax& from, int d) {
  const bool stays = into.m >= from.m;
  const float other = V::lane0(exp2(V::set1(stays ? from.m - into.m : into.m - from.m)));
  const float x = stays ? 1.0f : other, y = stays ? other : 1.0f;
  into.m = stays ? into.m : from.m;
  into.l = into.l * x + from.l * y;
  for (int i = 0; i < d; i += V::lanes)
    V::store(into.o + i, V::fma(V::load(into.o + i), V::set1(x), V::mul(V::load(from.o + i), V::set1(y))));
}

inline void copy(Softmax& into, const Softmax& from, int d) {
  into.m = from.m;
  into.l = from.l;
  std::memcpy(into.o, from.o, static_cast<std::size_t>(d) * sizeof(float));
}

// The states of one vector while its chunks arrive in order.
struct Folding {
  Softmax span, total;
  void add(const Softmax& chunk, int index, int last, int d) {
    if (index % kSpanChunks == 0)
      copy(span, chunk, d);
    else
      fold(span, chunk, d);
    if (index != last && index % kSpanChunks != kSpanChunks - 1) return;
    if (index < kSpanChunks)
      copy(total, span, d);
    else
      fold(total, span, d);
  }
  void finish(float* out, int d) const {
    const V::F inverse = V::set1(1.0f / total.l);
    for (int i = 0; i < d; i += V::lanes) V::store(out + i, V::mul(V::load(total.o + i), inverse));
  }
};

template <class Kv>
class AttentionTile {
 public:
  AttentionTile(const AttentionArgs& args, Run rows) : a_(args), rows_(rows), d_(args.head_dim), vectors_(rows.size() * args.heads) {
    float* at = reinterpret_cast<float*>(args.scratch);
    const auto take = [&](int floats) {
      return std::exchange(at, at + static_cast<std::size_t>(vectors_) * static_cast<std::size_t>(floats));
    };
    scores_ = take(kChunkKeys);
    room_ = take(kChunkKeys);
    queries_ = reinterpret_cast<typename Kv::Pair*>(take(d_));
    chunk_o_ = take(d_);
    span_o_ = take(d_);
    total_o_ = take(d_);
  }

  void run() {
    load_queries();
    Folding folding[kAttentionVectors];
    for (int v = 0; v < vectors_; ++v) folding[v] = {{0, 0, span_o_ + v * d_}, {0, 0, total_o_ + v * d_}};
    for (int chunk = a_.chunks.begin; chunk < a_.chunks.end; ++chunk) {
      const int first = first_vector(chunk);
      Softmax state[kAttentionVectors];
      compute(chunk, first, state);
      for (int v = first; v < vectors_; ++v) {
        if (a_.partials)
          keep(chunk, v, state[v]);
        else
          folding[v].add(state[v], chunk, position(v) / kChunkKeys, d_);
      }
    }
    if (a_.partials) return;
    for (int v = 0; v < vectors_; ++v) folding[v].finish(output(v), d_);
  }

  void fold_partials() {
    for (int v = 0; v < vectors_; ++v) {
      Folding folding{{0, 0, span_o_}, {0, 0, total_o_}};
      const int last = position(v) / kChunkKeys;
      for (int chunk = 0; chunk <= last; ++chunk) {
        float* p = partial(chunk, v);
        folding.add({p[0], p[1], p + 2}, chunk, last, d_);
      }
      folding.finish(output(v), d_);
    }
  }

 private:
  int position(int v) const { return a_.first_position + v / a_.heads; }
  // Vectors from this one on see a key of the chunk.
  int first_vector(int chunk) const { return std::max(0, chunk * kChunkKeys - a_.first_position) * a_.heads; }
  int visible(int chunk, int v) const { return std::min(kChunkKeys, position(v) + 1 - chunk * kChunkKeys); }
  const std::byte* page(int chunk, int index) const {
    return a_.pages + static_cast<std::size_t>(a_.blocks[chunk * (kChunkKeys / 16) + index]) * kv_page_bytes(Kv::type, d_);
  }
  float* output(int v) const {
    return a_.out + static_cast<std::size_t>(rows_.begin + v / a_.heads) * a_.out_stride + a_.out_offset +
           static_cast<std::size_t>(v % a_.heads * d_);
  }
  float* partial(int chunk, int v) const {
    return a_.partials + (static_cast<std::size_t>(chunk) * static_cast<std::size_t>(vectors_) + static_cast<std::size_t>(v)) *
                             static_cast<std::size_t>(d_ + 2);
  }
  void keep(int chunk, int v, const Softmax& s) const {
    float* p = partial(chunk, v);
    p[0] = s.m;
    p[1] = s.l;
    std::memcpy(p + 2, s.o, static_cast<std::size_t>(d_) * sizeof(float));
  }

  void load_queries() {
    const V::F scale = V::set1(a_.scale * kLog2E);
    for (int v = 0; v < vectors_; ++v) {
      const int row = rows_.begin + v / a_.heads;
      const float* q = a_.qkv + static_cast<std::size_t>(row) * a_.stride + a_.query_offset + static_cast<std::size_t>(v % a_.heads * d_);
      float* x = chunk_o_ + v * d_;
      std::memcpy(x, q, static_cast<std::size_t>(d_) * sizeof(float));
      rotate(x, a_.rope, row);
      for (int i = 0; i < d_; i += V::lanes) V::store(x + i, V::mul(V::load(x + i), scale));
      for (int i = 0; i < d_; i += 16) Kv::store_pairs(queries_ + (v * d_ + i) / 2, x + i);
    }
  }

  void compute(int chunk, int first, Softmax* state) {
    const int keys = visible(chunk, vectors_ - 1), pages = (keys + 15) / 16;
    const bool more = chunk + 1 < a_.chunks.end;
    const int next_pages = more ? (visible(chunk + 1, vectors_ - 1) + 15) / 16 : 0;
    for_vector_tiles(first, vectors_, [&](auto tile, int v) {
      constexpr int kUnits = kWide ? 2 : kParts;  // vectors of keys at once
      for (int unit = 0; unit < pages * kParts;) {
        const int some = std::min(kUnits, pages * kParts - unit);
        if (some == kUnits)
          scores<tile, kUnits>(chunk, unit, v, next_pages);
        else
          scores<tile, 1>(chunk, unit, v, next_pages);
        unit += some == kUnits ? kUnits : 1;
      }
    });
    const typename Kv::Pair* probabilities[kAttentionVectors];
    for (int v = first; v < vectors_; ++v) {
      float* s = scores_ + v * kChunkKeys;
      softmax(s, visible(chunk, v), pages * 16, state[v]);
      state[v].o = chunk_o_ + v * d_;
      probabilities[v] = Kv::pairs(s, room_ + v * kChunkKeys, pages * 16);
    }
    for_vector_tiles(first, vectors_, [&](auto tile, int v) {
      const int step = 2 * V::lanes;
      int dim = 0;
      for (; dim + step <= d_; dim += step) values<tile, 2>(chunk, keys, dim, v, probabilities, next_pages);
      if (dim < d_) values<tile, 1>(chunk, keys, dim, v, probabilities, next_pages);
    });
  }

  // Scores of M queries against U vectors of keys, from vector `unit` of the chunk on.
  template <int M, int U>
  [[gnu::noinline]] void scores(int chunk, int unit, int v, int next_pages) {
    const std::byte* keys[U];
    const std::byte* next[U];
    unroll<U>([&](auto u) {
      const int index = (unit + u) / kParts;
      keys[u] = page(chunk, index);
      next[u] = index < next_pages ? page(chunk + 1, index) : keys[u];
    });
    V::F acc[M * U];
    unroll<M * U>([&](auto i) { acc[i] = V::zero(); });
    const typename Kv::Pair* q = queries_ + v * (d_ / 2);
    const int half = d_ / 2;
    for (int i = 0; i < half; ++i) {
      typename Kv::Pairs k[U];
      unroll<U>([&](auto u) {
        k[u] = Kv::key(keys[u], i, (unit + u) % kParts, d_);
        if constexpr (M < 12) __builtin_prefetch(next[u] + i * 64, 0, 2);
      });
      unroll<M>([&](auto m) { unroll<U>([&](auto u) { acc[m * U + u] = Kv::dot(acc[m * U + u], k[u], q[m * half + i]); }); });
    }
    unroll<M>(
        [&](auto m) { unroll<U>([&](auto u) { V::store(scores_ + (v + m) * kChunkKeys + (unit + u) * V::lanes, acc[m * U + u]); }); });
  }

  // Scores become probabilities, those of invisible keys 0, up to `padded` keys.
  static void softmax(float* s, int keys, int padded, Softmax& state) {
    const V::F lowest = V::set1(-std::numeric_limits<float>::infinity());
    V::F largest = lowest;
    const int whole = keys / 16 * 16;
    for (int i = 0; i < whole; i += V::lanes) largest = V::max(largest, V::load(s + i));
    for (int i = whole; i < keys; i += V::lanes) largest = V::max(largest, V::first(V::load(s + i), keys - i, lowest));
    const float m = V::fold_max(largest);
    V::F sums[kParts];
    unroll<kParts>([&](auto p) { sums[p] = V::zero(); });
    const auto powers = [&](int i, auto&& visible) {
      unroll<kParts>([&](auto p) {
        const int at = i + p * V::lanes;
        const V::F x = visible(exp2(V::sub(V::load(s + at), V::set1(m))), at);
        sums[p] = V::add(sums[p], x);
        V::store(s + at, x);
      });
    };
    for (int i = 0; i < whole; i += 16) powers(i, [](V::F x, int) { return x; });
    for (int i = whole; i < padded; i += 16) powers(i, [&](V::F x, int at) { return V::first(x, std::max(0, keys - at), V::zero()); });
    if constexpr (kParts == 2) sums[0] = V::add(sums[0], sums[1]);
    state.m = m;
    state.l = V::fold_add(sums[0]);
  }

  // o[dim .. dim + U vectors) of M queries: P V over the chunk's keys in ascending order.
  template <int M, int U>
  [[gnu::noinline]] void values(int chunk, int keys, int dim, int v, const typename Kv::Pair* const* probabilities, int next_pages) {
    V::F acc[M * U];
    unroll<M * U>([&](auto i) { acc[i] = V::zero(); });
    const typename Kv::Pair* p[M];
    unroll<M>([&](auto m) { p[m] = probabilities[v + m]; });
    const std::size_t half_page = kv_page_bytes(Kv::type, d_) / 2;
    for (int index = 0; index * 16 < keys; ++index) {
      const std::byte* from = page(chunk, index) + half_page;
      const std::byte* next = index < next_pages ? page(chunk + 1, index) + half_page : from;
      const int pairs = std::min(16, keys - index * 16);  // in keys
      for (int pair = 0; pair < (pairs + 1) / 2; ++pair) {
        typename Kv::Pairs x[U];
        unroll<U>([&](auto u) {
          x[u] = Kv::value(from, pair, dim + u * V::lanes, d_);
          if constexpr (M < 12) __builtin_prefetch(next + (pair * d_ + dim + u * V::lanes) * 4, 0, 2);
        });
        if (2 * pair + 1 == pairs) unroll<U>([&](auto u) { x[u] = Kv::first(x[u]); });  // the neighbour was never written
        unroll<M>([&](auto m) { unroll<U>([&](auto u) { acc[m * U + u] = Kv::dot(acc[m * U + u], x[u], p[m][index * 8 + pair]); }); });
      }
    }
    unroll<M>([&](auto m) { unroll<U>([&](auto u) { V::store(chunk_o_ + (v + m) * d_ + dim + u * V::lanes, acc[m * U + u]); }); });
  }

  const AttentionArgs& a_;
  const Run rows_;
  const int d_, vectors_;
  float *scores_, *room_;                // (vectors, 128)
  typename Kv::Pair* queries_;           // (vectors, head_dim / 2), scaled
  float *chunk_o_, *span_o_, *total_o_;  // (vectors, head_dim)
};

void attention(const AttentionArgs& a, Run rows) {
  if (a.kv == KvType::bf16)
    AttentionTile<KvBf16>(a, rows).run();
  else
    AttentionTile<KvF32>(a, rows).run();
}

void attention_fold(const AttentionArgs& a, Run rows) {
  if (a.kv == KvType::bf16)
    AttentionTile<KvBf16>(a, rows).fold_partials();
  else
    AttentionTile<KvF32>(a, rows).fold_partials();
}
