"""Stand-in for rpcd's object `session`: logins by /etc/config/rpcd, and what /usr/share/rpcd/acl.d lets them call.

A session lasts as long as the daemon. A password that is set cannot be checked, as python3-light has no crypt().
"""

from __future__ import annotations

import os

import bus
import config
import lean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "0" * 32  # the session of those who have not logged in
TIMEOUT = 300  # seconds, as rpcd says
_ACL = "/usr/share/rpcd/acl.d"
_rights: dict[str, list[tuple[str, str, str]]] = {}  # by session: scope, object and function, which may be patterns


def offer() -> None:
    bus.objects["session"] = bus.methods(login=_login, access=_access, destroy=_destroy)
    _rights[DEFAULT] = _granted({"read": ["unauthenticated"]})


def allows(session: str, scope: str, name: str, function: str) -> bool:
    return any(
        scope == granted and lean.matches(name, names) and lean.matches(function, functions)
        for granted, names, functions in _rights.get(session, ())
    )


def _login(message: dict[str, Any]) -> dict[str, Any]:
    username, _ = message["username"], message["password"]
    for section in config.load("rpcd"):
        options = section.options
        if section.type == "login" and options.get("username") == username and _is_open(str(options.get("password"))):
            groups = {level: config.words(options.get(level)) for level in ("read", "write")}
            session = os.urandom(16).hex()
            _rights[session] = _granted(groups)
            return {
                "ubus_rpc_session": session, "timeout": TIMEOUT, "expires": TIMEOUT, "data": {"username": username}
            }  # fmt: skip
    raise bus.Failed(bus.DENIED)


def _is_open(password: str) -> bool:
    """Whether no password is set: here, or for the user whom "$p$NAME" refers to."""
    if not password.startswith("$p$"):
        return password in ("!", "x")
    if not os.path.exists("/etc/shadow"):
        return True
    with open("/etc/shadow") as file:
        return any(line.split(":")[:2] in ([password[3:], one] for one in ("", "!", "x")) for line in file)


def _granted(groups: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    """What the access lists give to these groups; who may write may read as well."""
    found = []
    for file_name in sorted(os.listdir(_ACL)) if os.path.isdir(_ACL) else ():
        with open(f"{_ACL}/{file_name}") as file:
            lists = lean.loads(file.read())
        for group, levels in lists.items():
            for level in ("read", "write"):
                wanted = groups.get(level, []) + (groups.get("write", []) if level == "read" else [])
                if level not in levels or not any(lean.matches(group, pattern) for pattern in wanted):
                    continue
                found.append(("access-group", group, level))
                for scope, objects in levels[level].items():
                    table = objects if isinstance(objects, dict) else {name: [level] for name in objects}
                    found += [(scope, name, function) for name, functions in table.items() for function in functions]
    return found


def _access(message: dict[str, Any]) -> dict[str, bool]:
    session, scope = message["ubus_rpc_session"], message.get("scope", "ubus")
    if session not in _rights:
        raise bus.Failed(bus.NOT_FOUND)
    return {"access": allows(session, scope, message["object"], message["function"])}


def _destroy(message: dict[str, Any]) -> None:
    if message["ubus_rpc_session"] == DEFAULT:
        raise bus.Failed(bus.DENIED)
    if _rights.pop(message["ubus_rpc_session"], None) is None:
        raise bus.Failed(bus.NOT_FOUND)
