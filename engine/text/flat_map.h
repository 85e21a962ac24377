// A hash table from 64-bit keys to 32-bit values for tables built once and then only read: open addressing, linear probing.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shardline {

class FlatMap {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;  // the value of absent keys; never stored

  explicit FlatMap(std::size_t entries) : slots_(std::bit_ceil(2 * entries + 1)) {}

  // Keeps the first value of a key. At most `entries` keys.
  void insert(std::uint64_t key, std::uint32_t value) {
    Slot& slot = slots_[find(key)];
    if (slot.value == kNone) slot = {key, value};
  }
  std::uint32_t operator[](std::uint64_t key) const { return slots_[find(key)].value; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t value = kNone;
  };
  std::size_t find(std::uint64_t key) const {  // the key's slot, or the free one where it would go
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = (key * 0x9E3779B97F4A7C15u >> 32) & mask;
    while (slots_[i].value != kNone && slots_[i].key != key) i = (i + 1) & mask;
    return i;
  }
  std::vector<Slot> slots_;  // at most half full
};

}  // namespace shardline
