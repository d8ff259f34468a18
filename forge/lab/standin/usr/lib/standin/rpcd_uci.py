"""Stand-in for rpcd's object `uci`: what a session changes is held back, for that session alone, until it applies it.

`apply` is not rolled back where `confirm` stays away.
"""

from __future__ import annotations

import os

import bus
import session
import uci
import uci_cli

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_event: Callable[[str, dict[str, Any]], None]
_CONFIG = "/etc/config"
_HELD_BACK = "/var/run/rpcd/uci-"
_KINDS = {
    "set": "set", "delete": "remove", "rename": "rename", "add_list": "list-add", "del_list": "list-del",
    "reorder": "order",
}  # fmt: skip


def offer(event: Callable[[str, dict[str, Any]], None]) -> None:
    """`event` is procd's."""
    global _event
    _event = event
    bus.objects["uci"] = bus.methods(
        get=_get, add=_add, set=_set, delete=_delete, order=_order, changes=_changes, commit=_commit, apply=_apply,
        revert=lambda message: _store(message).forget(), confirm=lambda message: None,
    )  # fmt: skip


def _store(message: dict[str, Any], right: str = "write", package: str = "") -> uci_cli.Store:
    package, caller = package or message["config"], message.get("ubus_rpc_session")
    if caller is not None and not session.allows(caller, "uci", package, right):
        raise bus.Failed(bus.DENIED)
    try:
        return uci_cli.Store(_CONFIG, package, uci_cli.SAVED if caller is None else _HELD_BACK + caller)
    except uci_cli.Wrong as wrong:
        raise bus.Failed(bus.NOT_FOUND if str(wrong) == "Entry not found" else bus.INVALID_ARGUMENT) from None


def _section(store: uci_cli.Store, name: str) -> uci.Section:
    try:
        return store.section(name)
    except uci_cli.Wrong:
        raise bus.Failed(bus.NOT_FOUND) from None


def _get(message: dict[str, Any]) -> dict[str, Any]:
    store = _store(message, "read")
    if "section" not in message:
        kind = message.get("type")
        numbered = enumerate(store.sections)
        return {"values": {one.id: _facts(one, at) for at, one in numbered if kind in (None, one.type)}}
    section = _section(store, message["section"])
    if "option" not in message:
        return {"values": _facts(section)}
    if message["option"] not in section.options:
        raise bus.Failed(bus.NOT_FOUND)
    return {"value": section.options[message["option"]]}


def _facts(section: uci.Section, index: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = {".anonymous": section.name is None, ".type": section.type, ".name": section.id}
    if index >= 0:
        found[".index"] = index
    return {**found, **section.options}


def _add(message: dict[str, Any]) -> dict[str, str]:
    store, kind = _store(message), message["type"]
    name = message.get("name") or store.new_id(kind)
    store.change("set", name, "", kind)
    _merge(store, name, message.get("values") or {})
    return {"section": name}


def _set(message: dict[str, Any]) -> None:
    store = _store(message)
    _merge(store, _section(store, message["section"]).id, message["values"])


def _merge(store: uci_cli.Store, name: str, values: dict[str, Any]) -> None:
    """A list replaces what was there; an empty value changes nothing."""
    for option, value in values.items():
        before = store.section(name).options.get(option)
        if before is not None and isinstance(before, list) | isinstance(value, list):
            store.change("delete", name, option, "")
        if isinstance(value, list):
            for entry in value:
                store.change("add_list", name, option, str(entry))
        elif value not in ("", None, before):
            store.change("set", name, option, str(int(value) if isinstance(value, bool) else value))


def _delete(message: dict[str, Any]) -> None:
    store = _store(message)
    section = _section(store, message["section"])
    options = message.get("options", message.get("option"))
    if options is None:
        store.change("delete", section.id, "", "")
    for option in [options] if isinstance(options, str) else options or ():
        if option in section.options:
            store.change("delete", section.id, option, "")


def _order(message: dict[str, Any]) -> None:
    """The sections in this order."""
    store = _store(message)
    for place, name in enumerate(message["sections"]):
        section = _section(store, name)
        if store.sections.index(section) != place:
            store.change("reorder", section.id, "", str(place))


def _changes(message: dict[str, Any]) -> dict[str, Any]:
    deltas = _store(message, "read").deltas
    return {"changes": [[_KINDS[kind], *filter(None, rest)] for kind, *rest in deltas]}


def _commit(message: dict[str, Any], package: str = "") -> None:
    store = _store(message, package=package)
    store.write()
    _event("config.change", {"package": store.package})


def _apply(message: dict[str, Any]) -> None:
    folder = _HELD_BACK + message["ubus_rpc_session"]
    packages = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not packages:
        raise bus.Failed(bus.NO_DATA)
    for package in packages:
        _commit(message, package)
