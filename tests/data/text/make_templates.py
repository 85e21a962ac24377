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

TEMPLATES = {}

TEMPLATES["chatml"] = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

TEMPLATES["smollm2"] = """{% for message in messages %}
    {% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|im_start|>system
You are a small and helpful model<|im_end|>
' }}
    {%- endif %}
{{- '<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

TEMPLATES["llama2"] = """{% if messages[0]['role'] == 'system' %}
{% set rest = messages[1:] %}{% set system_message = messages[0]['content'] %}
{% else %}
{% set rest = messages %}{% set system_message = false %}
{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{% endif %}
{% if loop.index0 == 0 and system_message != false %}
{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}
{% set content = message['content'] %}
{% endif %}
{% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}
{{ ' ' + content.strip() + ' ' + eos_token }}
{% endif %}
{% endfor %}
"""

TEMPLATES["llama3"] = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

TEMPLATES["llama31"] = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{% set tools = none %}{% endif %}

{#- The system message leaves the list, so that it stands first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools is not none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("There is no first user message to put the tools into") }}
    {%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

TEMPLATES["qwen25"] = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\nSignatures within <tools></tools>:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

TEMPLATES["qwen3"] = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' ~ tool_call.function.name ~ '", "arguments": ' }}
                {%- if tool_call.function.arguments is string %}
                    {{- tool_call.function.arguments }}
                {%- else %}
                    {{- tool_call.function.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

TEMPLATES["mistral"] = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Turns must alternate, tool messages aside. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call ids have 9 characters") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported") }}
    {%- endif %}
{%- endfor %}
"""

TEMPLATES["phi3"] = """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""

TEMPLATES["phi4"] = """{% for message in messages %}{% if (message['role'] in ['system', 'user']) %}{{ '<|im_start|>' ~ message['role'] ~ '<|im_sep|>' ~ message['content'] ~ '<|im_end|>' }}{% elif (message['role'] == 'assistant') -%}
  {% generation %}{{ '<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>' }}{% endgeneration %}
{%- endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"""

TEMPLATES["gemma"] = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"""

TEMPLATES["gemma3"] = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model
' }}
{%- endif -%}
"""

TEMPLATES["deepseek"] = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, system_prompt='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}{%- if not ns.is_first %}{{'<｜Assistant｜><｜tool▁calls▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n```json\\n' + tool['function']['arguments']|tojson + '\\n```'}}{%- set ns.is_first = true -%}{%- else %}{{'\\n' + tool['function']['name']}}{%- endif %}{%- endfor %}{{'<｜tool▁calls▁end｜>'}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{'<｜tool▁output▁begin｜>' + message['content'] + '<｜tool▁output▁end｜>'}}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'<｜tool▁outputs▁end｜>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"""

TEMPLATES["hermes"] = """{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool"
} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "list[" +  json_to_python_type(json_spec|items|selectattr(0, "eq", "items")|map("last")|first) + "]"}}
{%- elif json_spec.type is iterable %}
    {{- "Union[" }}{% for t in json_spec.type %}{{- json_to_python_type({"type": t}) }}{% if not loop.last %}{{- "," }}{% endif %}{% endfor %}{{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{{- bos_token }}
{%- if tools is iterable and tools | length > 0 %}
    {%- for tool in tools if tool.function is defined %}
        {%- set tool = tool.function %}
        {{- '{"type": "function", "function": ' }}
        {{- '{"name": "' + tool.name + '", ' }}
        {{- '"description": "' + tool.name + '(' }}
        {%- for param_name, param_fields in tool.parameters.properties|items %}
            {{- param_name + ": " + json_to_python_type(param_fields) }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- endif %}
        {%- endfor %}
        {{- ")" }}
        {%- if tool.return is defined %}
            {{- " -> " + json_to_python_type(tool.return) }}
        {%- endif %}
        {{- " - " + tool.description + "\\n\\n" }}
        {{- tool.parameters | tojson(sort_keys=true, separators=(',', ':')) }}
        {{- "}\\n" }}
    {%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role in ["user", "system"] or (message.role == "assistant" and message.tool_calls is not defined) %}
        {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>assistant' }}
        {%- for tool_call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' ~ tool_call.function.name ~ '", "arguments": ' ~ tool_call.function.arguments|tojson ~ '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif loop.previtem and loop.previtem.role != "tool" %}
        {{- '<|im_start|>tool\\n' ~ message.content ~ ('<|im_end|>' if loop.nextitem is not defined or loop.nextitem.role != 'tool') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""

TEMPLATES["typescript_tools"] = """{%- macro render_type(spec) -%}
    {%- if spec.type == "array" -%}
        {{ render_type(spec['items']) if spec['items'] else 'any' }}[]
    {%- elif spec.enum is defined -%}
        {{ spec.enum|map('tojson')|join(' | ') }}
    {%- elif spec.type in ["integer", "number"] -%}
        number
    {%- elif spec.type == "object" and spec.properties -%}
{
{% for name, prop in spec.properties.items() -%}
  {{ '  ' + name }}{{ '?' if name not in (spec.required or []) }}: {{ render_type(prop) }}{{ ',' }}{% if prop.description %} // {{ prop.description }}{% endif %}

{% endfor -%}
}
    {%- else -%}
        {{ spec.type or 'any' }}
    {%- endif -%}
{%- endmacro -%}
{%- macro section(title, level=2) -%}
{{ '#' * level }} {{ title|title }}
{{ caller() }}
{%- endmacro -%}
<|start|>system<|message|>Knowledge cutoff: 2024-06
Current date: {{ strftime_now("%Y-%m-%d") }}
{% if tools -%}
{% call section("available functions") %}
namespace functions {
{% for tool in tools|map(attribute='function') %}
// {{ tool.description|replace('"', "'") }}
type {{ tool.name }} = (_: {{ render_type(tool.parameters)|indent(2) }}) => any;
{% endfor %}
}
{% endcall %}
{%- endif -%}
<|end|>
{%- for message in messages -%}
{%- if message.content is not string -%}{%- continue -%}{%- endif -%}
<|start|>{{ message.role }}{% if message.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ message.content }}<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}
"""

TEMPLATES["vicuna"] = """{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim + '\\n\\n' }}{% else %}{{ "A chat between a user and an assistant.\\n\\n" }}{% endif %}
{% for message in messages if message.role != 'system' %}
    {{ message['role']|upper ~ ': ' ~ message['content']|string|trim ~ (eos_token if message['role'] == 'assistant' else '') }}
{% else %}
    (nothing was said)
{% endfor %}
{% if add_generation_prompt %}
ASSISTANT:{% endif %}

"""

TEMPLATES["zephyr"] = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

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
