"""Stand-in for rpcd: the executables of /usr/libexec/rpcd become objects on the bus.

Looked for at the start and at /etc/init.d/rpcd reload, as by the real one. They run beside everything else, since
they ask the bus themselves; one that takes more than 30 s is ended.
"""

from __future__ import annotations

import os

import bus
import lean
import loop
import notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FOLDER = "/usr/libexec/rpcd"
_PATIENCE = 30.0  # seconds


def offer() -> None:
    for path in [path for path, handler in bus.objects.items() if getattr(handler, "executable", False)]:
        del bus.objects[path]
    for name in sorted(os.listdir(_FOLDER)) if os.path.isdir(_FOLDER) else ():
        if os.access(f"{_FOLDER}/{name}", os.X_OK):
            bus.objects[name] = _object(name)


def _object(name: str) -> bus.Handler:
    def handler(method: str, message: dict[str, Any], done: bus.Done) -> None:
        _run(name, ["list"], {}, lambda listed: chosen(method, message, done, listed))

    def chosen(method: str, message: dict[str, Any], done: bus.Done, listed: Any) -> None:
        if not isinstance(listed, dict) or method not in listed:
            done(bus.METHOD_NOT_FOUND, None)
        elif set(message) - set(listed[method]):
            done(bus.INVALID_ARGUMENT, None)  # rpcd takes no argument that the plugin does not name
        else:
            _run(name, ["call", method], message, lambda reply: done(0 if reply is not None else bus.NO_DATA, reply))

    handler.executable = True  # type: ignore[attr-defined]
    return handler


def _run(name: str, words: list[str], message: dict[str, Any], then: Any) -> None:
    """`then` gets what it printed as JSON, or None."""
    given, printed = os.memfd_create("given"), os.memfd_create("printed")
    os.write(given, lean.dumps(message).encode())
    os.lseek(given, 0, os.SEEK_SET)

    def ended(status: int) -> None:
        loop.cancel(timer)
        os.lseek(printed, 0, os.SEEK_SET)
        os.close(given)
        with open(printed, encoding="utf-8", errors="replace") as file:
            try:
                reply = lean.loads(file.read())
            except ValueError:
                reply = None
        then(reply if status == 0 else None)

    notes.add("procd.log", "rpcd", name, *words)
    pid = loop.spawn([f"{_FOLDER}/{name}", *words], ended, files=(given, printed, -1))
    timer = loop.later(_PATIENCE, lambda: os.kill(pid, 9))
