// Loops over registers: an array of vectors stays in registers only where every index is a constant.

constexpr int kParts = kPanelRows / V::lanes;  // vectors of one panel

template <int N, class Fn>
[[gnu::always_inline]] inline void unroll(Fn&& fn) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) { (fn(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}
