"""Stand-in for ubusd and the command `ubus`: objects that answer calls, events, and who may send them.

The objects are functions of this process and rpcd's executables (rpcd.py); there is no wire format. /usr/share/acl.d
is read at the start and when ubusd is told to (SIGHUP), as by the real one.
"""

from __future__ import annotations

import os
import pwd

import lean
import notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from door import Call

    Done = Callable[[int, Any], None]  # status (0: fine) and the reply, None if there is none
    Handler = Callable[[str, dict[str, Any], Done], None]

INVALID_ARGUMENT, METHOD_NOT_FOUND, NOT_FOUND, NO_DATA, DENIED, NOT_SUPPORTED = 2, 3, 4, 5, 6, 8
_TEXTS = {
    2: "Invalid argument", 3: "Method not found", 4: "Not found", 5: "No response", 6: "Permission denied",
    8: "Operation not supported",
}  # fmt: skip
_ACL = "/usr/share/acl.d"


class Failed(Exception):
    """A call's status, one of the numbers above."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


objects: dict[str, Handler] = {}
refresh: Callable[[], None] = lambda: None  # netifd's: its interfaces are objects too  # noqa: E731
_listeners: list[tuple[Call, list[str]]] = []
_rights: list[dict[str, Any]] = []


def methods(**table: Callable[[dict[str, Any]], Any]) -> Handler:
    """An object whose methods answer at once."""

    def handler(method: str, message: dict[str, Any], done: Done) -> None:
        if method not in table:
            raise Failed(METHOD_NOT_FOUND)
        done(0, table[method](message))

    return handler


def call(path: str, method: str, message: dict[str, Any], done: Done) -> None:
    refresh()
    if path not in objects:
        done(NOT_FOUND, None)
        return
    try:
        objects[path](method, message, done)
    except Failed as failed:
        done(failed.code, None)
    except KeyError:
        done(INVALID_ARGUMENT, None)


def send(event: str, data: Any) -> None:
    notes.add("events", lean.dumps({event: data}))
    for listener, patterns in list(_listeners):
        if not listener.open:
            _listeners.remove((listener, patterns))
        elif any(lean.matches(event, pattern) for pattern in patterns):
            listener.say(compact({event: data}) + "\n")


def read_rights() -> None:
    _rights.clear()
    for name in sorted(os.listdir(_ACL)) if os.path.isdir(_ACL) else ():
        try:
            with open(f"{_ACL}/{name}") as file:
                _rights.append(lean.loads(file.read()))
        except ValueError:
            pass


def may_send(uid: int, event: str) -> bool:
    if uid == 0:
        return True
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        return False
    allowed = [pattern for entry in _rights if entry.get("user") == user for pattern in entry.get("send", [])]
    return any(lean.matches(event, pattern) for pattern in allowed)


def command(asked: Call) -> None:
    """`ubus [-t N] [-S] list | call | send | listen`."""
    words, short = asked.words[1:], False
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        short = short or flag == "-S"
        if flag in ("-t", "-s") and words:
            words.pop(0)
    name, *rest = words or [""]
    if name == "list" and len(rest) <= 1:
        refresh()
        found = [path for path in sorted(objects) if not rest or lean.matches(path, rest[0])]
        asked.done(0 if found else NOT_FOUND, "".join(f"{path}\n" for path in found))
    elif name == "listen" and asked.uid == 0:
        asked.begin()
        _listeners.append((asked, rest or ["*"]))
    elif name == "send" and rest:
        message = _message(rest[1:])
        if message is None:
            _fail(asked, INVALID_ARGUMENT)
        elif not may_send(asked.uid, rest[0]):
            _fail(asked, DENIED)
        else:
            send(rest[0], message)
            asked.done()
    elif name == "call" and len(rest) in (2, 3):
        _call(asked, rest, short)
    else:
        asked.done(1, "Usage: ubus [<options>] <command> [arguments...]\n", error=True)


def _call(asked: Call, rest: list[str], short: bool) -> None:
    message = _message(rest[2:])

    def done(status: int, reply: Any) -> None:
        if status:
            _fail(asked, status)
        elif reply is None:
            asked.done()
        else:
            asked.done(0, (compact(reply) if short else pretty(reply)) + "\n")

    if message is None:
        done(INVALID_ARGUMENT, None)
    elif asked.uid != 0:
        done(DENIED, None)
    else:
        call(rest[0], rest[1], message, done)


def _message(words: list[str]) -> dict[str, Any] | None:
    try:
        found = lean.loads(words[0]) if words and words[0] else {}
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _fail(asked: Call, code: int) -> None:
    asked.done(code, f"Command failed: {_TEXTS.get(code, 'Unknown error')}\n", error=True)


def pretty(value: Any, depth: int = 0) -> str:
    """As json-c prints it for ubus: tabs, an empty line within what is empty."""
    if not isinstance(value, (dict, list)):
        return lean.scalar(value)
    tabs = "\t" * (depth + 1)
    if isinstance(value, dict):
        items = [f"{lean.scalar(key)}: {pretty(one, depth + 1)}" for key, one in value.items()]
    else:
        items = [pretty(one, depth + 1) for one in value]
    inner = f",\n{tabs}".join(items)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{tabs}{inner}\n{tabs[1:]}{closing}"


def compact(value: Any) -> str:
    """As jshn prints it: blanks inside of brackets, slashes escaped."""
    if isinstance(value, dict):
        items = ", ".join(f"{compact(key)}: {compact(one)}" for key, one in value.items())
        return f"{{ {items} }}" if items else "{ }"
    if isinstance(value, list):
        return "[ " + ", ".join(map(compact, value)) + " ]" if value else "[ ]"
    return lean.scalar(value).replace("/", "\\/")
