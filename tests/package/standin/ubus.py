"""Stand-in for OpenWrt's `ubus` command. procd's stand-in answers for `service`; what netifd would know a test writes
into /tmp/network.json, a list of interfaces as `ubus call network.interface dump` has them.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

SOCKET = "/var/run/ubus.sock"
EVENTS = "/tmp/events"  # what `ubus send` said, a JSON object a line
_NOT_FOUND = 4


class Failed(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def call(path: str, method: str, message: dict[str, Any]) -> Any:
    if path == "service":
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(SOCKET)
            except OSError:
                raise Failed(_NOT_FOUND) from None
            sock.sendall(json.dumps([method, message]).encode())
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as file:
                answer = json.load(file)
        if isinstance(answer, int):
            raise Failed(answer)
        return answer
    if path.startswith("network.interface"):
        with open("/tmp/network.json") as file:
            interfaces = json.load(file)
        if path == "network.interface" and method == "dump":
            return {"interface": interfaces}
        for one in interfaces:
            if path == f"network.interface.{one['interface']}" and method == "status":
                return {key: value for key, value in one.items() if key != "interface"}
    raise Failed(_NOT_FOUND)


def pretty(value: Any, depth: int = 0) -> str:
    """As json-c prints it for ubus: tabs, an empty line within what is empty."""
    if not isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    tabs = "\t" * (depth + 1)
    items = [f"{json.dumps(key)}: {pretty(one, depth + 1)}" for key, one in value.items()] if isinstance(
        value, dict
    ) else [pretty(one, depth + 1) for one in value]  # fmt: skip
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
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/")


def main(words: list[str]) -> int:
    while words and words[0].startswith("-"):
        if words.pop(0) == "-t":
            words.pop(0)
    command, *rest = words
    if command == "send":
        with open(EVENTS, "a") as file:
            file.write(json.dumps({rest[0]: json.loads(rest[1])}) + "\n")
        return 0
    try:
        answer = call(rest[0], rest[1], json.loads(rest[2]) if len(rest) > 2 else {})
    except Failed as failed:
        print("Command failed: Not found", file=sys.stderr)
        return failed.code
    if answer is not None:
        print(pretty(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
