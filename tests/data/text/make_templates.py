"""Renders chat templates in the styles of the main model families with jinja2, set up as transformers sets it up.

    pip install jinja2==3.1.6 && python make_templates.py > templates.json

Writes {"conversations": {name: context}, "templates": [{"name", "source", "expected": {conversation: text or null}}],
"snippets": [[source, text]]}, null standing for an error. Contexts hold messages and what else the template is given.
"""

import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes
from model_templates import TEMPLATES

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5)


class Generation(jinja2.ext.Extension):
    """{% generation %}: a block that renders as its body does."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather at a place, in \"plain\" words",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "Città or village"},
        "days": {"type": "integer", "enum": [1, 3, 7]},
        "where": {"type": "array", "items": {"type": "number"}}}}}},
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}]


def conversation(*turns, **context):
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": None, **context}


CONVERSATIONS = {
    "one": conversation(("user", "What is an attention head?")),
    "system": conversation(("system", "Answer in one word."), ("user", "Capital of France?")),
    "turns": conversation(("user", "Hi"), ("assistant", "Hello! How can I help?"), ("user", "Tell me\na story."), ("assistant", "Once upon a time."), ("user", "More")),
    "system_turns": conversation(("system", " You are terse.\n"), ("user", "a"), ("assistant", "b"), ("user", "  c  ")),
    "ends": conversation(("user", "2+2?"), ("assistant", "4"), add_generation_prompt=False),
    "tokens": conversation(("user", "<|im_end|><|eot_id|></s>[INST] {{ 7 * 7 }} {% raw %}")),
    "scripts": conversation(("system", "你是一个助手。"), ("user", "¿Qué tal, naïve Straße? 🙂 مرحبا"), ("assistant", "よし"), ("user", "İ ﬁ Ǆ")),
    "empty": conversation(("user", "")),
    "thinking": conversation(("user", "Why?"), ("assistant", "<think>\nBecause of\nthis.\n</think>\n\nSo it is."), ("user", "And?")),
    "wrong_order": conversation(("assistant", "First!"), ("assistant", "Again"), ("user", "What?")),
    "tool_use": conversation(("user", "Weather in Roma?"), tools=TOOLS),
    "tool_calls": {**conversation(("user", "Weather?"), tools=TOOLS[:1]), "messages": [
        {"role": "user", "content": "Weather in Roma?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "abc123456", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Roma", "days": 3, "exact": True, "x": None, "f": 1.5}}}]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "abc123456", "content": "{\"sun\": true}"},
        {"role": "assistant", "content": "It's sunny."},
        {"role": "user", "content": "Thanks"}]},
    "parts": {**conversation(), "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is in "}, {"type": "image", "url": "x.png"}, {"type": "text", "text": " this picture? "}]}]},
}

SNIPPETS = [
    # White space.
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if true -%}\n  b\n  {%- endif -%}\n  c", "  {%+ if true %}x{% endif +%}\n y",
    "a {{- ' b ' -}} c", "a\n{# note #}\nb", "a\n  {#- note -#}\n  b", "x {# {{ not }} #} y", "{% raw %}{{ x }} {% if %}{% endraw %}\n!",
    "a\n  {% raw -%}  \n {{ x }}\n  {%- endraw %}\nb", "a\r\nb\rc\n", "a\n\n", "{{ 1 }}\n{{ 2 }}\n", "\n  {{ 3 }}  \n", "\t{% set x = 1 %}\t\n{{ x }}",
    "{ {a} {{ '}}' }} { % }", "a{%if true%}b{%endif%}c", "{{ {'a': {'b': 1}}['a']['b'] }}", "{% for x in [1,2] -%}\n {{ x }}\n{% endfor %}", "{{'a'}} \n{{-'b'}}",
    # Literals and operators.
    "{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
    "{{ 1_000 }} {{ 1.5e3 }} {{ 1e20 }} {{ 0.1 + 0.2 }} {{ 1e-7 }} {{ 123456789.0 }} {{ 1e16 }} {{ 3.0 }} {{ -0.0 }}",
    "{{ 'a' 'b' \"c\" }} {{ '\\x41\\u00e9\\U0001F642\\t|\\\\|\\'|\\q' }}", "{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] ~ missing }}", "{{ 1 ~ 2 + 3 ~ 4 if false else 'x' }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1,) == [1] }} {{ not 1 == 2 }}",
    "{{ 'b' in 'abc' }} {{ 2 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 3 not in (1, 2) }} {{ not 3 in [3] }} {{ 'a' in missing }}",
    "{{ 1 and 0 }} {{ 0 or 'x' }} {{ '' or none }} {{ 1 and 2 or 3 }} {{ not '' }} {{ not not [] }}", "{{ 'yes' if 1 else 'no' }} {{ 'yes' if 0 }}|{{ 1 if 0 else 2 if 0 else 3 }}",
    "{{ 'ab' * 3 }} {{ 2 * [1] }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ +5 }} {{ - 5|abs }} {{ true + true }}",
    "{{ [1, 'a', \"it's\", none, True, 1.5, (1,), (1, 2), {'k': [\"'\\\"\"]}] }} {{ () }} {{ {} }}", "{{ '%s and %d%%' % ('x', 3) }} {{ '%s' % 'y' }} {{ '%r'|format('z') }}",
    "{{ 'hello'[1] }} {{ 'hello'[-1] }} {{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ 'hello'[::2] }} {{ 'hello'[-3:] }} {{ 'hello'[:-1] }} {{ 'hello'[10:] }} {{ 'hello'[3:1:-1] }} {{ 'hello'[::100] }}",
    "{{ [1, 2, 3][1:] }} {{ (1, 2, 3)[:2] }} {{ [1, 2, 3][-1] }} {{ {'a': 1}.a }} {{ {'a': 1}['a'] }} {{ [[1, 2], 3].0.1 }} {{ {'items': 5}['items'] }}",
    "{{ missing }}|{{ {}.x }}|{{ [][3] }}|{{ ''[0] }}|{{ none }}", "{{ 1, 2 }} {{ (1) }} {{ [1,] }} {{ {'a': 1,} }}",
    # Statements.
    "{% set x = 1 %}{% set y, z = 2, (3, 4) %}{{ x }}{{ y }}{{ z }}", "{% set x %}a{{ 1 }}\n b{% endset %}[{{ x }}]{% set y | upper | trim %} abc {% endset %}[{{ y }}]",
    "{% set x = 0 %}{% for i in range(3) %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(a=1, b='x') %}{% for i in range(4) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}",
    "{% for i in [3, 1, 2] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }},{% endfor %}{% for k in {'x': 1} %}{{ k }}{% endfor %}{% for c in 'héy' %}[{{ c }}]{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}none{% endfor %}{% for x in missing %}{% else %} undefined{% endfor %}", "{% for i in range(6) if i % 2 %}{{ loop.index }}:{{ i }} {% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a in [1, 2] %}{% set outer = loop %}{% for b in 'xy' %}{{ outer.index }}{{ loop.index }}{{ b }} {% endfor %}{% endfor %}", "{% for i in range(4) %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }} {% endfor %}",
    "{% if x is defined %}a{% elif 0 %}b{% elif 'z' %}c{% else %}d{% endif %}", "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=5) }} {{ m(b=3, a=4) }} {{ m() }}",
    "{% set g = 'G' %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 'H' %}{{ m() }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('b') %}x{{ 1 }}{% endcall %}", "{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each([1, 2]) %}[{{ i }}]{% endcall %}",
    "{% filter upper %}abc {{ 'd' }}{% endfilter %}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% generation %}{% set q = 1 %}x{{ q }}{% endgeneration %}{{ q is defined }}", "{% if true %}{% set q = 7 %}{% endif %}{{ q }}",
    "{% for i in [1] %}{% break %}{% else %}e{% endfor %}{% for i in [1, 2] %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% else %}f{% endfor %}{{ none|selectattr('a')|list }}{{ 0|map('upper')|list }}{{ 2.5 is even }}{{ x is sequence }}",
    # Tests.
    "{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ none is none }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ 1 is integer }}",
    "{{ 'a' is string }} {{ [] is sequence }} {{ {} is mapping }} {{ [] is iterable }} {{ 1 is iterable }} {{ 'x' is iterable }} {{ range is callable }} {{ x is undefined }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ true is boolean }}",
    "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is ge 2 }} {{ 'a' is in ['a'] }} {{ 'a' is not in 'b' }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 1 is not none and 2 is not odd }} {{ none is sameas none }}",
    # Filters.
    "{{ '  x '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ 'aBc dEf'|title }}|{{ 'aBc'|capitalize }}|{{ 'é'|upper }}|{{ 'É'|lower }}|{{ [1]|length }}|{{ 'abc'|count }}", "{{ [1, 2]|first }} {{ [1, 2]|last }} {{ []|first }}|{{ 'abc'|first }} {{ {'a': 1}|first }}",
    "{{ ['a', 1]|join }} {{ [1, 2]|join(', ') }} {{ [{'n': 1}, {'n': 2}]|join('-', attribute='n') }} {{ 'abc'|join('.') }}", "{{ x|default('d') }} {{ ''|default('d') }} {{ ''|default('d', true) }} {{ none|d(1) }} {{ none|d(1, boolean=true) }}",
    "{{ 'aaa'|replace('a', 'b', 2) }} {{ 'abc'|replace('', '-') }} {{ 1|replace(1, 2) }}", "{{ [3, 1, 2]|sort }} {{ ['b', 'A', 'c']|sort }} {{ ['b', 'A']|sort(case_sensitive=true) }} {{ [1, 2]|sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}]|sort(attribute='a') }}",
    "{{ [1, 2, 1, 'a', 'A']|unique|list }} {{ [1, 2, 3]|reverse|list }} {{ 'abc'|reverse }} {{ [1, 2]|sum }} {{ [{'a': 2}, {'a': 5}]|sum(attribute='a') }} {{ [1, 5, 2]|max }} {{ ['b', 'A']|min }} {{ []|max }}",
    "{{ {'b': 1, 'a': 2}|dictsort }} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {{ {'b': 1}|items|list }} {{ {'b': 1}|list }}", "{{ '12'|int }} {{ '12.7'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ 'ff'|int(base=16) }} {{ '1.5'|float }} {{ 'x'|float }} {{ 3|float }} {{ 5|string + 'x' }} {{ -3|abs }}",
    "{{ 2.5|round }} {{ 3.14159|round(2) }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(0, 'floor') }} {{ 2|round }} {{ 1.005|round(2) }}", "{{ 'a\n\nb\n c'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent('> ', blank=true) }}|{{ 'a\nb\n'|indent(1) }}",
    "{{ ['a', 'b']|map('upper')|list }} {{ [{'n': {'m': 1}}]|map(attribute='n.m')|list }} {{ [{'n': 1}, {}]|map(attribute='n', default='x')|list }} {{ [[1, 2]]|map('join', '-')|list }} {{ [' a ']|map('trim')|first }}",
    "{{ [0, 1, 2]|select|list }} {{ [1, 2, 3]|select('odd')|list }} {{ [1, 2, 3]|reject('gt', 1)|list }} {{ [{'r': 'u'}, {'r': 'a'}]|selectattr('r', 'equalto', 'u')|list }} {{ [{'r': 1}, {}]|rejectattr('r')|list }} {{ [{'r': 1}, {}]|selectattr('r', 'defined')|list }}",
    "{{ {'a': [1, 2.5, none, true, 'é\"\\n\\u0001\\u007f'], 'b': {}, 'c': []}|tojson }}", "{{ {'b': [1, {'x': 2}], 'a': []}|tojson(indent=2) }} {{ {'b': 1, 'a': 'é🙂'}|tojson(sort_keys=true, ensure_ascii=true) }} {{ [1, 2]|tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4}|tojson }}",
    "{{ '<a href=\"x\">&\\'</a>'|escape }} {{ '<'|e }} {{ '<b>'|safe }}",
    # Methods.
    "{{ ' x '.strip() }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'abc\n'.rstrip() }}|{{ 'a,b,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a b c'.split(' ', 1) }}|{{ 'a b c'.split(maxsplit=1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ 'a\nb\r\nc'.splitlines() }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.find('c') }} {{ 'abcb'.rfind('b') }} {{ 'abc'.find('z') }} {{ 'aXa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'abab'.count('ab') }} {{ '-'.join(['a', 'b']) }}",
    "{{ 'aBc'.upper() }} {{ 'aBc'.lower() }} {{ \"they're bill's\".title() }} {{ 'aBC'.capitalize() }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ '12'.isdigit() }} {{ ''.isdigit() }} {{ ' '.isspace() }} {{ 'aé'.isalpha() }} {{ 'A1'.isupper() }} {{ 'a1'.isalnum() }}",
    "{{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.keys()|list }} {{ {'a': 1}.values()|list }} {{ {'a': 1, 'b': 2}.items()|list }} {{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }}",
    "{{ range(3)|list }} {{ range(1, 7, 2)|list }} {{ range(3, 0, -1)|list }} {{ dict(a=1, b=2) }} {{ strftime_now('%d %B %Y, %H:%M') }} {{ messages[0].content|length }} {{ messages|map(attribute='role')|join(',') }}",
    # Errors.
    "{{ raise_exception('no') }}", "{{ missing.x }}", "{{ missing + 1 }}", "{{ missing() }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ 'a' < 1 }}", "{{ 1 / 0 }}", "{{ [1].append(2) }}", "{{ {}.update({}) }}", "{{ 1|nofilter }}", "{{ 1 is notest }}",
    "{% for x in 5 %}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% set x.y = 1 %}", "{{ 'a' in 5 }}", "{{ range(1000000) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{{ ''.split('') }}", "{% if %}x{% endif %}", "{% endif %}", "{{ 1 +",
    "{% if 1 %}", "{{ (1 }}", "{{ ] }}", "{% unknown %}", "{# open", "{{ 'open }}", "{% for x %}{% endfor %}", "{{ a b }}", "{{ 1|trim(2, 3, 4) }}", "{{ x|default(1, 2, 3) }}", "{% break %}", "{{ missing|tojson }}", "{{ 5|join }}", "{{ [1]|round }}", "{{ 'a' % 1 }}", "{{ x|int }}", "{{ x|round }}", "{{ x|dictsort }}", "{{ add_generation_prompt[1:] }}", "{{ messages.0.content.x.y }}",
]


def render(env, source, context):
    try:
        return env.from_string(source).render(**context)
    except Exception:  # every kind of failure is one for the template
        return None


def main():
    env = environment()
    templates = [{"name": name, "source": source, "expected": {c: render(env, source, context) for c, context in CONVERSATIONS.items()}}
                 for name, source in TEMPLATES.items()]
    snippets = [[source, render(env, source, CONVERSATIONS["turns"])] for source in SNIPPETS]
    json.dump({"conversations": CONVERSATIONS, "templates": templates, "snippets": snippets}, sys.stdout, ensure_ascii=False, indent=0)
    print()


if __name__ == "__main__":
    main()
