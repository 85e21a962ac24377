// Tests: `x is NAME`.
#include <algorithm>
#include <cmath>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/operators.h"

namespace shardline::jinja {
namespace {

using ast::Op;

bool is_sequence(const Value& v) { return v.if_text() || v.if_list() || v.if_dict() || v.is_undefined(); }
bool is_number(const Value& v) { return v.if_int() || v.if_float() || v.if_bool(); }

template <Op op>
Value compares(Interpreter& in, const Arguments& a) {
  in.charge_text(comparison_cost(op, a[0], a[1]));
  return apply_comparison(op, a[0], a[1]);
}

Value has_case(Interpreter& in, const Value& value, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  const Text text = in.string_of(value);
  return std::any_of(text.begin(), text.end(), wanted) && std::none_of(text.begin(), text.end(), other);
}

bool leaves(const Value& value, const Value& by, int rest) { return equal(apply_arithmetic(Op::mod, value, by), rest); }

constexpr Builtin kTests[] = {
    {"defined", [](Interpreter&, const Arguments& a) -> Value { return !a[0].is_undefined(); }},
    {"undefined", [](Interpreter&, const Arguments& a) -> Value { return a[0].is_undefined(); }},
    {"none", [](Interpreter&, const Arguments& a) -> Value { return a[0].is_none(); }},
    {"boolean", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_bool() != nullptr; }},
    {"true", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_bool() && *a[0].if_bool(); }},
    {"false", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_bool() && !*a[0].if_bool(); }},
    {"integer", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_int() != nullptr; }},
    {"float", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_float() != nullptr; }},
    {"number", [](Interpreter&, const Arguments& a) -> Value { return is_number(a[0]); }},
    {"string", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_text() != nullptr; }},
    {"mapping", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_dict() != nullptr; }},
    {"sequence", [](Interpreter&, const Arguments& a) -> Value { return is_sequence(a[0]); }},
    {"iterable", [](Interpreter&, const Arguments& a) -> Value { return is_sequence(a[0]) || a[0].if_loop(); }},
    {"callable", [](Interpreter&, const Arguments& a) -> Value { return a[0].if_callable() != nullptr; }},
    {"odd", [](Interpreter&, const Arguments& a) -> Value { return leaves(a[0], 2, 1); }},
    {"even", [](Interpreter&, const Arguments& a) -> Value { return leaves(a[0], 2, 0); }},
    {"divisibleby", [](Interpreter&, const Arguments& a) -> Value { return leaves(a[0], a[1], 0); }, "num"},
    {"lower", [](Interpreter& in, const Arguments& a) { return has_case(in, a[0], is_lower, is_upper); }},
    {"upper", [](Interpreter& in, const Arguments& a) { return has_case(in, a[0], is_upper, is_lower); }},
    {"sameas",
     [](Interpreter& in, const Arguments& a) -> Value {
       return a[0].variant().index() == a[1].variant().index() && truthy(compares<Op::eq>(in, a));
     },
     "other"},
    {"filter", [](Interpreter&, const Arguments& a) -> Value { return find_filter(to_utf8(text_argument(a[0]))) != nullptr; }},
    {"test", [](Interpreter&, const Arguments& a) -> Value { return find_test(to_utf8(text_argument(a[0]))) != nullptr; }},
    {"in", compares<Op::in>, "seq"},
    {"eq", compares<Op::eq>, "other"},
    {"equalto", compares<Op::eq>, "other"},
    {"==", compares<Op::eq>, "other"},
    {"ne", compares<Op::ne>, "other"},
    {"!=", compares<Op::ne>, "other"},
    {"lt", compares<Op::lt>, "other"},
    {"lessthan", compares<Op::lt>, "other"},
    {"<", compares<Op::lt>, "other"},
    {"le", compares<Op::le>, "other"},
    {"<=", compares<Op::le>, "other"},
    {"gt", compares<Op::gt>, "other"},
    {"greaterthan", compares<Op::gt>, "other"},
    {">", compares<Op::gt>, "other"},
    {"ge", compares<Op::ge>, "other"},
    {">=", compares<Op::ge>, "other"},
};

}  // namespace

const Builtin* find_test(std::string_view name) {
  const auto it = std::find_if(std::begin(kTests), std::end(kTests), [&](const Builtin& b) { return b.name == name; });
  return it == std::end(kTests) ? nullptr : &*it;
}

}  // namespace shardline::jinja
