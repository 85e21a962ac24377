#include <gmock/gmock.h>
#include <stdlib.h>


#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"
#include "tests/unit/engine/text/test_data.h"

namespace shardline::jinja {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using Globals = std::vector<std::pair<std::string_view, Value>>;

constexpr std::time_t kNow = 1767323045;  // 2026-01-02 03:04:05 UTC

Value value_of(const json::value& v) {
  if (v.is_null()) return None();
  if (v.is_bool()) return v.as_bool();
  if (v.is_int64()) return v.as_int64();
  if (v.is_double()) return v.as_double();
  if (v.is_string()) return to_text(std::string_view(v.as_string()), true);
  if (v.is_array()) {
    List list;
    for (const json::value& item : v.as_array()) list.items.push_back(value_of(item));
    return list;
  }
  Dict dict;
  for (const auto& [key, value] : v.as_object()) dict.set(std::string_view(key), value_of(value));
  return dict;
}

Globals globals_of(const json::value& context) {
  Globals globals;
  for (const auto& [key, value] : context.as_object()) globals.emplace_back(std::string_view(key), value_of(value));
  return globals;
}

// What the template renders to, or "error: ...".
std::string render(const std::string& source, Globals globals = {}) {
  try {
    const ast::Body body = parse(source);
    return to_utf8(Interpreter(std::move(globals), kNow).render(body));
  } catch (const TemplateError& error) {
    return "error: line " + std::to_string(error.line) + ": " + error.what();
  }
}

class JinjaTest : public ::testing::Test {
 protected:
  JinjaTest() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
  const json::value data_ = testing::read_json("templates.json");
  const json::object& conversations_ = data_.at("conversations").as_object();
};

TEST_F(JinjaTest, RendersTheFamiliesTemplatesAsJinja2) {
  int compared = 0;
  for (const json::value& family : data_.at("templates").as_array()) {
    for (const auto& [name, expected] : family.at("expected").as_object()) {
      const std::string text = render(testing::text(family.at("source")), globals_of(conversations_.at(name)));
      const std::string where = testing::text(family.at("name")) + " x " + std::string(name);
      if (expected.is_null()) {
        EXPECT_THAT(text, ::testing::StartsWith("error: ")) << where;
      } else {
        EXPECT_EQ(text, testing::text(expected)) << where;
      }
      ++compared;
    }
  }
  EXPECT_GE(compared, 200);
}

TEST_F(JinjaTest, RendersSnippetsAsJinja2) {
  const json::array& snippets = data_.at("snippets").as_array();
  EXPECT_GE(snippets.size(), 100u);
  for (const json::value& snippet : snippets) {
    const std::string source = testing::text(snippet.at(0)), text = render(source, globals_of(conversations_.at("turns")));
    if (snippet.at(1).is_null()) {
      EXPECT_THAT(text, ::testing::StartsWith("error: ")) << source;
    } else {
      EXPECT_EQ(text, testing::text(snippet.at(1))) << source;
    }
  }
}

TEST_F(JinjaTest, ErrorsNameTheLineAndTheCause) {
  EXPECT_EQ(render("\n\n{{ x.y }}"), "error: line 3: 'x' is undefined");
  EXPECT_EQ(render("{% if 1 %}\n{{ 1 }}\n"), "error: line 2: the template ends without 'endif'");
  EXPECT_EQ(render("\n{% include 'x' %}"), "error: line 2: unknown tag 'include'");
  EXPECT_EQ(render("{{ 'a'|nope }}"), "error: line 1: unknown filter 'nope'");
  EXPECT_EQ(render("{{ raise_exception('roles\\n' ~ 1) }}"), "error: line 1: roles\n1");
}

// Characters of `x` come from a message. Each template is rendered with them shown as they are, and all others as dots.
std::string foreign_part(const std::string& expression) {
  Text out = Interpreter({{"x", to_text("aB", true)}}, kNow).render(parse("{{ " + expression + " }}"));
  for (char32_t& c : out) c = c & kForeign ? code_of(c) : U'.';
  return to_utf8(out);
}

TEST_F(JinjaTest, CharactersRememberWhereTheyCameFrom) {
  EXPECT_EQ(foreign_part("'[' + x + ']'"), ".aB.");
  EXPECT_EQ(foreign_part("'[' ~ x ~ 1"), ".aB.");
  EXPECT_EQ(foreign_part("('[' + x)[1:] + ('a' ~ x)[::-1]"), "aBBa.");
  EXPECT_EQ(foreign_part("x|upper ~ x|lower ~ x.title() ~ x|capitalize"), "ABabAbAb");
  EXPECT_EQ(foreign_part("(' ' ~ x ~ ' ')|trim"), "aB");
  EXPECT_EQ(foreign_part("x|replace('a', 'b')"), ".B");
  EXPECT_EQ(foreign_part("'aB'|replace('B', x)"), ".aB");
  EXPECT_EQ(foreign_part("('1' ~ x ~ '2').split('B')|join(', ')"), ".a...");
  EXPECT_EQ(foreign_part("[x, '-']|join('+')"), "aB..");
  EXPECT_EQ(foreign_part("[x]"), "..aB..");
  EXPECT_EQ(foreign_part("{'k': x}|tojson"), ".......aB..");
  EXPECT_EQ(foreign_part("('<' ~ x ~ '>')|escape"), "....aB....");
  EXPECT_EQ(foreign_part("('a\n' ~ x)|indent(2)"), "....aB");
  EXPECT_EQ(foreign_part("'%s!' % x"), "aB.");
  EXPECT_EQ(foreign_part("x * 2 ~ x|list|last ~ x[0]"), "aBaBBa");
  EXPECT_EQ(foreign_part("namespace(v=x).v ~ ('p' if x == 'aB' else 'q')"), "aB.");
  EXPECT_EQ(foreign_part("x|length ~ {'aB': 1}[x]"), "..");
  EXPECT_EQ(foreign_part("x }}{% set y %}[{{ x }}]{% endset %}{{ y }}{% macro m(v) %}<{{ v }}{% endmacro %}{{ m(x)"), "aB.aB..aB");
}

TEST_F(JinjaTest, InvalidBytesComeOutAsTheyWentIn) {
  const std::string bytes = "a\xff\xe2\x82z\xc0";
  EXPECT_EQ(render("{{ x|trim }}", {{"x", to_text(bytes, true)}}), bytes);
}

TEST_F(JinjaTest, StepsDepthAndSizeAreBounded) {
  const std::pair<std::string, std::string> cases[] = {
      {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps"},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep"},
      {"{% set ns = namespace(s='0123456789abcdef') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "characters"},
      {"{{ 'x' * 99999999999 }}", "large"},
      {"{% set s = 'x' * 8000000 %}{% for i in range(99) %}{{ s }}{% endfor %}", "characters"},
      {"{% set s = 'x' * 1000000 %}{{ s|replace('x', s) }}", "large"},
      {"{% set s = 'x' * 1000000 %}{{ s in (s ~ s) }}{{ s.count(s) }}{{ ('y' ~ s) in s }}", "steps"},
      {"{% set s = 'x' * 1000000 %}{{ [s, s, s, s, s, s, s, s, s, s]|join(s) }}", "large"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l] %}{% endfor %}", "deep"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}", "large"},
      {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l.count] %}{% endfor %}", "deep"},
      {"{{ [[[1]]]|tojson(indent=999999999) }}", "indent"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"{{ 99999999999999999999 }}", "too large"},
      {"{{ 7 ** 99 }}", "64 bits"},
      {"{{ range(1, 99999999) }}", "range"},
      {"{{ " + std::string(1000, '(') + "1" + std::string(1000, ')') + " }}", "deep"},
      {"{{ " + std::string(100'000, '[') + std::string(100'000, ']') + " }}", "deep"},
      {"{{ " + std::string(100'000, '-') + "1 }}", "deep"},
  };
  for (const auto& [source, word] : cases) {
    const std::string text = render(source);
    EXPECT_THAT(text, ::testing::StartsWith("error: ")) << source.substr(0, 100);
    EXPECT_THAT(text.substr(0, 1000), HasSubstr(word)) << source.substr(0, 100);
  }
}

TEST_F(JinjaTest, LongChainsAreNotDeep) {
  std::string sum = "0", filters = "'x'", elifs = "{% if 0 %}";
  for (int i = 0; i < 20'000; ++i) {
    sum += "+1";
    filters += "|trim";
    elifs += "{% elif 0 %}";
  }
  EXPECT_EQ(render("{{ " + sum + " }}"), "20000");
  EXPECT_EQ(render("{{ " + filters + " }}"), "x");
  EXPECT_EQ(render(elifs + "{% else %}e{% endif %}"), "e");
}

}  // namespace
}  // namespace shardline::jinja
