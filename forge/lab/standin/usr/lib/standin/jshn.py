"""What the stand-in's jshn.sh asks for, and the command `jsonfilter`."""

from __future__ import annotations

import json
import re
from typing import Any

import bus
from door import Call

_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "int", float: "double"}


def command(asked: Call) -> None:
    """dump NOTES: the JSON that a list of notes makes. Else WHAT DOCUMENT [NAME...] reads a document."""
    what, text, *path = asked.words[1:]
    if what == "dump":
        asked.done(0, bus.compact(_build(text)))
        return
    try:
        value = json.loads(text)
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


def _build(notes: str) -> Any:
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
        found = [json.loads(text)]
    except ValueError:
        asked.done(126)
        return
    for name, condition in re.findall(r"\.(\w[\w-]*)|\[([^]]+)\]", expression.removeprefix("@")):
        if name:
            found = [one[name] for one in found if isinstance(one, dict) and name in one]
        else:
            found = [entry for one in found for entry in _matching(one, condition)]
    lines = [one if isinstance(one, str) else json.dumps(one) for one in found]
    asked.done(0 if found else 1, "".join(f"{line}\n" for line in lines))


def _matching(value: Any, condition: str) -> list[Any]:
    """Entries of an array or object: all ("*"), by number, or where @.NAME=VALUE."""
    if isinstance(value, dict):
        key = condition.strip("'\"")
        return list(value.values()) if condition == "*" else [value[key]] if key in value else []
    if not isinstance(value, list):
        return []
    if re.fullmatch(r"-?\d+", condition):
        at = int(condition)
        return value[at:][:1]
    wanted = re.fullmatch(r"@\.(\w+)=['\"]?([^'\"]*)['\"]?", condition)
    if wanted is None:
        return value if condition == "*" else []
    return [one for one in value if isinstance(one, dict) and _shown(one.get(wanted[1])) == wanted[2]]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
