// Ops on single rows: norm, packing, rotation and the way into the KV pages. The loops without intrinsics are safe to vectorise: nothing is
// contracted, and no sum crosses an iteration.

inline void pack_row(const float* x, const InputLayout& layout, const Activations& out, Run blocks, int m) {
  alignas(64) float whole[kBlockColumns];
  PackPlace places[kPackTogether];
  int count = 0;
  for (int i = blocks.begin; i < blocks.end; ++i) {
    const InputLayout::Block& b = layout.blocks[static_cast<std::size_t>(i)];
    if (b.width == kBlockColumns) {
      places[count++] = {x + b.begin, i, m};
    } else {
      std::memset(whole, 0, sizeof whole);
      std::memcpy(whole, x + b.begin, static_cast<std::size_t>(b.width) * sizeof(float));
      const PackPlace place{whole, i, m};
      pack_blocks({&place, 1}, out);
    }
    if (count == kPackTogether || i + 1 == blocks.end) pack_blocks({places, static_cast<std::size_t>(std::exchange(count, 0))}, out);
  }
}

void pack(const PackArgs& p, Run rows) {
  for (int m = rows.begin; m < rows.end; ++m) pack_row(p.x + static_cast<std::size_t>(m) * p.stride, *p.layout, *p.out, p.blocks, m);
}

void norm(const NormArgs& n, Run rows) {
  for (int m = rows.begin; m < rows.end; ++m) {
    float* x = n.x + static_cast<std::size_t>(m) * static_cast<std::size_t>(n.dim);
    const float* pending = n.pending ? n.pending + static_cast<std::size_t>(m) * static_cast<std::size_t>(n.dim) : nullptr;
    V::F squares[kParts];  // 16 lanes in all
    unroll<kParts>([&](auto p) { squares[p] = V::zero(); });
    for (int i = 0; i < n.dim; i += 16)
      unroll<kParts>([&](auto p) {
        float* at = x + i + p * V::lanes;
        V::F v = V::load(at);
        if (pending) V::store(at, v = V::add(v, V::load(pending + i + p * V::lanes)));
        squares[p] = V::fma(v, v, squares[p]);
      });
    if constexpr (kParts == 2) squares[0] = V::add(squares[0], squares[1]);
    const float scale = 1.0f / std::sqrt(V::fold_add(squares[0]) / static_cast<float>(n.dim) + n.epsilon);
    for (int i = 0; i < n.dim; i += V::lanes)
      V::store(n.scratch + i, V::mul(V::mul(V::load(x + i), V::set1(scale)), V::load(n.weight + i)));
    pack_row(n.scratch, *n.layout, *n.out, {0, n.layout->block_count()}, m);
  }
}

// Su et al. 2021 (RoPE), halves paired.
inline void rotate(float* head, const Rope& rope, int row) {
  const int half = rope.dims / 2;
  const float* cosines = rope.cosines + static_cast<std::ptrdiff_t>(row) * half;
  const float* sines = rope.sines + static_cast<std::ptrdiff_t>(row) * half;
  for (int i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cosines[i] - b * sines[i];
    head[i + half] = b * cosines[i] + a * sines[i];
  }
}

inline void store_bf16(const float* key, const float* value, std::byte* page, int slot, int d) {
  auto* k = reinterpret_cast<std::uint32_t*>(page) + slot;
  for (int i = 0; i < d / 2; ++i) k[i * 16] = f32_to_bf16(key[2 * i]) | static_cast<std::uint32_t>(f32_to_bf16(key[2 * i + 1])) << 16;
  auto* v = reinterpret_cast<std::uint16_t*>(page) + 16 * d + slot / 2 * 2 * d + slot % 2;
  for (int i = 0; i < d; ++i) v[2 * i] = f32_to_bf16(value[i]);
}

inline void store_f32(const float* key, const float* value, std::byte* page, int slot, int d) {
  auto* k = reinterpret_cast<float*>(page) + slot;
  for (int i = 0; i < d; ++i) k[i * 16] = key[i];
  auto* v = reinterpret_cast<float*>(page) + 16 * d + slot * d;
  for (int i = 0; i < d; ++i) v[i] = value[i];
}

void kv_store(const KvStoreArgs& a, Run rows) {
  alignas(64) float key[kMaxHeadDim];
  for (int m = rows.begin; m < rows.end; ++m) {
    const float* row = a.qkv + static_cast<std::size_t>(m) * a.stride;
    for (int h = 0; h < a.kv_heads; ++h) {
      std::memcpy(key, row + a.key_offset + static_cast<std::size_t>(h * a.head_dim), static_cast<std::size_t>(a.head_dim) * sizeof(float));
      rotate(key, a.rope, m);
      const float* value = row + a.value_offset + static_cast<std::size_t>(h * a.head_dim);
      std::byte* page = a.pages + static_cast<std::size_t>(h) * a.head_stride +
                        static_cast<std::size_t>(a.block_of_row[m]) * kv_page_bytes(a.kv, a.head_dim);
      (a.kv == KvType::bf16 ? store_bf16 : store_f32)(key, value, page, a.slot_of_row[m], a.head_dim);
    }
  }
}
