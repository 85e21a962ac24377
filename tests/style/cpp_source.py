"""Just enough C++ to measure it: text without comments and literals, and the extent of function bodies."""
import re

_LITERALS = re.compile(r'R"(\w*)\((?:.|\n)*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*(?:.|\n)*?\*/')


def blank_literals(text):
    """The text with comments and literals blanked; line numbers and columns stay."""
    text = re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", " ", text)  # digit separators
    return _LITERALS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def _kind(head):
    """What a brace opens, by the code before it back to the last ';', '{' or '}'."""
    if re.search(r"\b(namespace|extern)\b[^()]*$", head):
        return "scope"
    if re.search(r"\b(class|struct|union|enum)\b[^()]*$", head):
        return "scope"
    if ")" in head and not re.search(r"[=,(]\s*$", head):
        return "function"
    return "other"


def functions(text):
    """Yields (name, first line, lines) of every outermost function body of blanked code."""
    stack, head, begin = [], "", 0
    for position, char in enumerate(text):
        if char == "{":
            kind = _kind(head)
            if kind == "function" and "function" not in (entry[0] for entry in stack):
                begin = text.rfind(head.lstrip()[:40], 0, position) if head.strip() else position
                stack.append((kind, begin, _name(head)))
            else:
                stack.append((kind if kind != "function" else "other", position, ""))
            head = ""
        elif char == "}":
            if stack:
                kind, begin, name = stack.pop()
                if kind == "function":
                    yield name, text.count("\n", 0, begin) + 1, text.count("\n", begin, position) + 1
            head = ""
        elif char == ";":
            head = ""
        else:
            head += char


def _name(head):
    match = re.search(r"([~\w:]+)\s*\(", head)
    return match.group(1) if match else "?"
