"""Stand-ins for OpenWrt's small programs, by the name of the first argument: jsonfilter, fw4, reload_config,
and what the stand-in's own jshn.sh, network.sh and procd.sh ask for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from typing import Any

import ubus

sys.path.insert(0, os.environ.get("STANDIN_RELAY", "/src"))


def jshn(arguments: list[str]) -> int:
    """dump: the JSON that a list of notes makes. Else reads a document."""
    text = sys.stdin.read()
    if arguments[0] == "dump":
        print(ubus.compact(_build(text)))
        return 0
    try:
        document = json.loads(text)
    except ValueError:
        return 1
    if arguments[0] == "check":
        return 0 if isinstance(document, dict) else 1
    value = document.get(arguments[1]) if isinstance(document, dict) else None
    if arguments[0] == "var":
        print(_plain(value))
    elif arguments[0] == "type":
        kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "int", float: "double"}
        print(kinds.get(type(value), ""))
    elif arguments[0] == "values":
        print(" ".join(map(_plain, value if isinstance(value, list) else [value])))
    elif arguments[0] == "length":
        print(len(value) if isinstance(value, list) else 0)
    elif arguments[0] == "item" and isinstance(value, list):
        print(_plain(value[int(arguments[2]) - 1]))
    return 0


def _plain(value: Any) -> str:
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


def network(arguments: list[str]) -> int:
    """NETWORK WHAT, with `ubus call network.interface dump` on standard input."""
    name, what = arguments
    interfaces = json.load(sys.stdin)["interface"]
    if what == "wan":
        found = [one["interface"] for one in interfaces if _default(one, "0.0.0.0")]
        print(found[0] if found else "")
        return 0 if found else 1
    one = next((one for one in interfaces if one["interface"] == name), None)
    if one is None:
        return 1
    four = one.get("ipv4-address", [])
    six = one.get("ipv6-address", []) + [own["local-address"] for own in one.get("ipv6-prefix-assignment", [])]
    kind = what.rstrip("s")
    if kind == "up":
        return 0 if one.get("up") else 1
    values = {
        "ipaddr": [own["address"] for own in four],
        "ipaddr6": [own["address"] for own in six],
        "subnet": [f"{own['address']}/{own['mask']}" for own in four],
        "subnet6": [f"{own['address']}/{own['mask']}" for own in six],
        "gateway": _default(one, "0.0.0.0"),
        "dnsserver": one.get("dns-server", []),
        "device": [one["l3_device"]] if "l3_device" in one else [],
        "physdev": [one["device"]] if "device" in one else [],
    }[kind.replace("s6", "6")]
    print(" ".join(values if kind != what else values[:1]))
    return 0 if values else 1


def _default(interface: dict[str, Any], target: str) -> list[str]:
    return [route["nexthop"] for route in interface.get("route", []) if route["target"] == target and not route["mask"]]


def running(arguments: list[str]) -> int:
    """What `status` of an init script says, and its exit status."""
    services = ubus.call("service", "list", {"name": arguments[0]})
    if arguments[0] not in services:
        print("inactive")
        return 3
    instances = services[arguments[0]].get("instances")
    if not instances:
        print("active with no instances")
        return 0
    alive = [one["running"] for one in instances.values()]
    print("running" if all(alive) else "not running")
    return 0 if any(alive) else 5


def jsonfilter(arguments: list[str]) -> int:
    """-e '@.a.b[@.c=0].d' of the document on standard input: a line for each value found."""
    expression = arguments[arguments.index("-e") + 1]
    try:
        found = [json.load(sys.stdin)]
    except ValueError:
        return 126
    for step in re.findall(r"\.(\w[\w-]*)|\[([^]]+)\]", expression.removeprefix("@")):
        if step[0]:
            found = [one[step[0]] for one in found if isinstance(one, dict) and step[0] in one]
            continue
        entries = [entry for one in found if isinstance(one, list) for entry in one]
        condition = re.fullmatch(r"@\.(\w+)='?([^']*)'?", step[1])
        found = [one for one in entries if not condition or str(one.get(condition[1])) == condition[2]]
    for one in found:
        print(one if isinstance(one, str) else json.dumps(one))
    return 0 if found else 1


def fw4(arguments: list[str]) -> int:
    """network NET: the zone of /etc/config/firewall that lists it, if the firewall runs (it has its state file)."""
    import uci

    words = [word for word in arguments if word not in ("-q", "-v")]
    if words[:1] != ["network"] or not os.path.exists("/var/run/fw4.state"):
        return 1
    with open("/etc/config/firewall", "rb") as file:
        sections = uci.parse(file.read())
    for section in sections:
        networks = section.options.get("network", [])
        if section.type == "zone" and words[1] in (networks.split() if isinstance(networks, str) else networks):
            print(section.options["name"])
            return 0
    return 1


def reload_config(arguments: list[str]) -> int:
    """Tells procd of every file in /etc/config that changed since the last call; the first only takes checksums."""
    sums = {}
    for name in os.listdir("/etc/config"):
        if not name.startswith("."):
            with open(f"/etc/config/{name}", "rb") as file:
                sums[name] = hashlib.md5(file.read()).hexdigest()
    known: dict[str, str] | None = None
    if os.path.exists("/var/run/config.md5"):
        with open("/var/run/config.md5") as file:
            known = json.load(file)
    with open("/var/run/config.md5", "w") as file:
        json.dump(sums, file)
    for name in sorted(sums if known is not None else ()):
        if known is not None and known.get(name) != sums[name]:
            ubus.call("service", "event", {"type": "config.change", "data": {"package": name}})
    return 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1].removeprefix("standin-")](sys.argv[2:]))
