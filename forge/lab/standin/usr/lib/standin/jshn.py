"""What the stand-in's jshn.sh asks for, and the command `jsonfilter`."""

from __future__ import annotations

import bus
import lean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from door import Call

_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "int", float: "double"}


def command(asked: Call) -> None:
    """dump NOTES: the JSON that a list of notes makes. Else WHAT DOCUMENT [NAME...] reads a document."""
    what, text, *path = asked.words[1:]
    if what == "dump":
        asked.done(0, bus.compact(build(text)))
        return
    try:
        value = lean.loads(text)
    except ValueError:
        asked.done(1)
        return
    for name in path:
        value = _entry(value, name)
    if what == "check":
        asked.done(0 if isinstance(value, dict) else 1)
    elif what == "var":
        asked.done(0 if value is not None else 1, _plain(value) + "\n")
    elif what == "type":
        asked.done(0, _KINDS.get(type(value), "") + "\n")
    elif what == "values":
        asked.done(0, " ".join(map(_plain, value if isinstance(value, list) else [value])) + "\n")
    elif what == "keys":
        keys = value if isinstance(value, dict) else range(1, 1 + len(value) if isinstance(value, list) else 1)
        asked.done(0, " ".join(map(str, keys)) + "\n")


def _entry(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and name.isdigit() and 1 <= int(name) <= len(value):
        return value[int(name) - 1]
    return None


def _plain(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return ""
    return {None: "", True: "1", False: "0"}[value] if value is None or isinstance(value, bool) else str(value)


def build(notes: str) -> Any:
    root: Any = {}
    stack = [root]
    for note in notes.split("\2")[:-1]:
        kind, name, value = note.split("\1")
        if kind == "close":
            stack.pop()
            continue
        if kind == "append":
            stack[-1].setdefault(name, []).append(value)
            continue
        made: Any = {"object": {}, "array": [], "string": value}.get(kind)
        if kind == "int":
            made = int(value)
        elif kind == "boolean":
            made = value not in ("", "0", "false")
        if isinstance(stack[-1], list):
            stack[-1].append(made)
        else:
            stack[-1][name] = made
        if kind in ("object", "array"):
            stack.append(made)
    return root


def jsonfilter(asked: Call) -> None:
    """-e '@.a.b[@.c=0].d' of the document on standard input, in a file (-i) or in a word (-s): a line a value found."""
    words, expression, text = asked.words[1:], "", asked.input
    while words:
        flag = words.pop(0)
        value = words.pop(0) if words else ""
        if flag == "-e":
            expression = value
        elif flag == "-s":
            text = value
        elif flag == "-i":
            try:
                with open(value) as file:
                    text = file.read()
            except OSError as error:
                asked.done(125, f"Failed to open {value}: {error.strerror}\n", error=True)
                return
    try:
        found = [lean.loads(text)]
    except ValueError:
        asked.done(126)
        return
    for name, condition in _steps(expression):
        if name:
            found = [one[name] for one in found if isinstance(one, dict) and name in one]
        else:
            found = [entry for one in found for entry in _matching(one, condition)]
    asked.done(0 if found else 1, "".join(f"{_shown(one)}\n" for one in found))


def _matching(value: Any, condition: str) -> list[Any]:
    """Entries of an array or object: all ("*"), by number, or where @.NAME=VALUE."""
    if isinstance(value, dict):
        key = condition.strip("'\"")
        return list(value.values()) if condition == "*" else [value[key]] if key in value else []
    if not isinstance(value, list):
        return []
    if condition.removeprefix("-").isdigit():
        return value[int(condition) :][:1]
    key, equals, wanted = condition.partition("=")
    if not equals:
        return value if condition == "*" else []
    key, wanted = key.removeprefix("@."), wanted.strip("'\"")
    return [one for one in value if isinstance(one, dict) and _shown(one.get(key)) == wanted]


def _steps(expression: str) -> Iterator[tuple[str, str]]:
    """The names and the conditions, in brackets, of "@.route[@.mask=0].target"."""
    rest = expression.removeprefix("@")
    while rest:
        if rest[0] == "[":
            condition, _, rest = rest[1:].partition("]")
            yield "", condition
        else:
            rest = rest.removeprefix(".")
            end = min((at for at in (rest.find("."), rest.find("[")) if at >= 0), default=len(rest))
            yield rest[:end], ""
            rest = rest[end:]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else lean.dumps(value)
