// Plain values as bytes and back, between ranks of one build (which the wire-up checks): native byte order, no padding.
// A type takes part by a free function template  void fields(Archive&, T&)  that names its members once, for both directions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace shardline::parallel {

template <class T>
concept WireNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class WireWriter {
 public:
  explicit WireWriter(std::vector<std::byte>& out) : out_(out) {}
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }

 private:
  void raw(const void* data, std::size_t n) {
    if (n == 0) return;
    out_.resize(out_.size() + n);
    std::memcpy(out_.data() + (out_.size() - n), data, n);
  }
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      put(static_cast<std::uint8_t>(value));
    } else if constexpr (WireNumber<T>) {
      raw(&value, sizeof value);
    } else {
      fields(*this, const_cast<T&>(value));  // fields() takes what it may write; a writer only reads it
    }
  }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    raw(text.data(), text.size());
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    if constexpr (std::has_unique_object_representations_v<T>) {
      raw(values.data(), values.size() * sizeof(T));
    } else {
      for (const T& value : values) put(value);
    }
  }

  std::vector<std::byte>& out_;
};

// Reads what may be cut short or altered: never past the end, and never allocates more than the bytes present can fill.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> in) : in_(in) {}
  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool complete() const { return ok_ && in_.empty(); }

 private:
  void raw(void* data, std::size_t n) {
    ok_ = ok_ && n <= in_.size();
    if (!ok_ || n == 0) return;
    std::memcpy(data, in_.data(), n);
    in_ = in_.subspan(n);
  }
  template <class T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      get(byte);
      value = byte != 0;
    } else if constexpr (WireNumber<T>) {
      raw(&value, sizeof value);
    } else {
      fields(*this, value);
    }
  }
  // A count of elements of `size` bytes that fit into what is left; 0 where they do not.
  std::size_t count(std::size_t size) {
    std::uint32_t n = 0;
    get(n);
    ok_ = ok_ && n <= in_.size() / size;
    return ok_ ? n : 0;
  }
  void get(std::string& text) {
    text.resize(count(1));
    raw(text.data(), text.size());
  }
  template <class T>
  void get(std::vector<T>& values) {
    values.clear();
    if constexpr (std::has_unique_object_representations_v<T>) {
      values.resize(count(sizeof(T)));
      raw(values.data(), values.size() * sizeof(T));
    } else {
      for (std::size_t n = count(1); n > 0 && ok_; --n) get(values.emplace_back());
    }
  }

  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace shardline::parallel
