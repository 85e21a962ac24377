// Global functions, and what loops know.
#include <fmt/core.h>

#include <algorithm>

#include "engine/text/jinja/builtins.h"

namespace shardline::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // as Jinja's sandbox

Value range(Interpreter& in, const Arguments& a) {
  const bool one = a[1].is_undefined();
  const std::int64_t start = one ? 0 : int_argument(a[0], 0), stop = int_argument(one ? a[0] : a[1], 0), step = int_argument(a[2], 1);
  if (step == 0) throw TemplateError("range cannot have step 0");
  List list;
  std::int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (list.items.size() == kMaxRange) throw TemplateError(fmt::format("a range has more than {} items", kMaxRange));
    list.items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  in.charge(list.items.size() / 16);
  return list;
}

Dict dict_of(const Arguments& a) {
  if (a.values.size() > 1 || (a.values.size() == 1 && !a.values[0].if_dict())) throw TemplateError("expected names with values");
  Dict dict = a.values.empty() ? Dict() : *a.values[0].if_dict();
  for (const auto& [name, value] : a.named) dict.set(name, value);
  return dict;
}

Value strftime_now(Interpreter& in, const Arguments& a) {
  const std::time_t now = in.now();
  std::tm local{};
  localtime_r(&now, &local);
  // A mark at the end, since an empty result and one that does not fit look alike.
  const std::string format = to_utf8(text_argument(a[0])) + "|";
  char buffer[1024];
  const std::size_t size = std::strftime(buffer, sizeof buffer, format.c_str(), &local);
  if (size == 0) throw TemplateError("strftime_now: the format is too long");
  return std::string_view(buffer, size - 1);
}

constexpr Builtin kFunctions[] = {
    {"range", range, "start stop? step?"},
    {"dict", [](Interpreter&, const Arguments& a) -> Value { return dict_of(a); }, "*"},
    {"namespace", [](Interpreter& in, const Arguments& a) { return in.make_namespace(dict_of(a)); }, "*"},
    {"raise_exception", [](Interpreter&, const Arguments& a) -> Value { throw TemplateError(to_utf8(to_string(a[0]))); }, "message"},
    {"strftime_now", strftime_now, "format"},
};

Value cycle(const Loop& loop, const Arguments& a) {
  if (a.values.empty()) throw TemplateError("loop.cycle needs items");
  return a.values[loop.index % a.values.size()];
}

Value changed(Loop& loop, const Arguments& a) {
  Value now = List{a.values};
  if (equal(now, loop.changed)) return false;
  loop.changed = std::move(now);
  return true;
}

}  // namespace

Value find_global(std::string_view name) {
  const auto it = std::find_if(std::begin(kFunctions), std::end(kFunctions), [&](const Builtin& b) { return b.name == name; });
  if (it == std::end(kFunctions)) return {};
  Callable callable{std::string(name), {}};
  callable.call = [it](Interpreter& in, const Arguments& arguments) { return invoke(in, *it, arguments, 0); };
  return std::make_shared<const Callable>(std::move(callable));
}

Value loop_attribute(const std::shared_ptr<Loop>& loop, std::string_view name) {
  const std::size_t i = loop->index, n = loop->items.size();
  const auto neighbour = [&](bool there, std::size_t at) { return there ? loop->items[at] : Value::undefined("there is no such item"); };
  if (name == "index") return i + 1;
  if (name == "index0") return i;
  if (name == "revindex") return n - i;
  if (name == "revindex0") return n - i - 1;
  if (name == "first") return i == 0;
  if (name == "last") return i + 1 == n;
  if (name == "length") return n;
  if (name == "depth") return 1;
  if (name == "depth0") return 0;
  if (name == "previtem") return neighbour(i > 0, i - 1);
  if (name == "nextitem") return neighbour(i + 1 < n, i + 1);
  if (name != "cycle" && name != "changed") return {};
  Callable callable{std::string(name), {}};
  callable.extent = loop->extent;
  callable.call = [loop, cycles = name == "cycle"](Interpreter&, const Arguments& a) {
    return cycles ? cycle(*loop, a) : changed(*loop, a);
  };
  return std::make_shared<const Callable>(std::move(callable));
}

}  // namespace shardline::jinja
