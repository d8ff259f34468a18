"""Stand-in for netifd: brings up the interfaces of /etc/config/network (loopback, static, DHCP), answers for them on
the bus, and tells procd's triggers and hotplug when one comes or goes.

What it knows is in /tmp/network.json, a list as `ubus call network.interface dump` has it: a test without devices
writes that file itself. IPv6 is the LAN's own prefix (ip6assign) alone.
"""

from __future__ import annotations

import os
import time

import bus
import config
import lean
import loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from door import Call

STATE = "/tmp/network.json"
_EMPTY = ("ipv4-address", "ipv6-address", "ipv6-prefix", "ipv6-prefix-assignment", "route", "dns-server", "dns-search")

event: Callable[[str, dict[str, Any]], None] = lambda kind, data: None  # procd's, for triggers  # noqa: E731
_clients: dict[str, int] = {}  # DHCP clients' pids
_known: dict[str, dict[str, Any]] = {}  # the settings that an interface was brought up by
_hotplug: list[dict[str, str]] = []
_hotplug_pid = 0


def interfaces() -> list[dict[str, Any]]:
    try:
        with open(STATE) as file:
            found: list[dict[str, Any]] = lean.loads(file.read())
    except FileNotFoundError:
        return []
    return found


def find(name: str) -> dict[str, Any] | None:
    return next((one for one in interfaces() if one["interface"] == name), None)


def store(entry: dict[str, Any]) -> None:
    found = [one for one in interfaces() if one["interface"] != entry["interface"]]
    with open(f"{STATE}.new", "w") as file:
        file.write(lean.dumps(sorted([*found, entry], key=lambda one: str(one["interface"]))))
    os.rename(f"{STATE}.new", STATE)


def register() -> None:
    """An object on the bus for each interface."""
    names = {f"network.interface.{one['interface']}" for one in interfaces()}
    for path in [path for path in bus.objects if path.startswith("network.interface.")]:
        if path not in names:
            del bus.objects[path]
    for path in names:
        bus.objects[path] = _object(path.rpartition(".")[2])


def _object(name: str) -> bus.Handler:
    def status(message: dict[str, Any]) -> dict[str, Any]:
        entry = find(name)
        if entry is None:
            raise bus.Failed(bus.NOT_FOUND)
        if entry.get("up") and "since" in entry:
            entry["uptime"] = int(time.monotonic() - entry["since"])
        return {key: value for key, value in entry.items() if key not in ("interface", "since")}

    return bus.methods(status=status, up=lambda message: up(name), down=lambda message: down(name))


def offer() -> None:
    def dump(message: dict[str, Any]) -> dict[str, Any]:
        return {"interface": interfaces()}

    bus.objects["network.interface"] = bus.methods(dump=dump, notify_proto=leased)
    bus.objects["network"] = bus.methods(reload=lambda message: reload(), restart=lambda message: restart())
    bus.refresh = register


# ---- bringing interfaces up and down ---------------------------------------------------------------------------------


def configured() -> dict[str, dict[str, Any]]:
    """The options of each interface section by name, with its device's kind and ports as `_bridge`."""
    sections = config.load("network")
    bridges = {
        str(one.options.get("name")): config.words(one.options.get("ports"))
        for one in sections
        if one.type == "device" and one.options.get("type") == "bridge"
    }
    prefix = next((one.options.get("ula_prefix") for one in sections if one.type == "globals"), None)
    found = {}
    for one in sections:
        if one.type == "interface" and one.name:
            device = str(one.options.get("device") or one.options.get("ifname") or "")
            found[one.name] = {**one.options, "device": device, "_ports": bridges.get(device), "_prefix": prefix}
    return found


def reload() -> None:
    """Brings up what is new or was changed, and takes down what is gone."""
    wanted = configured()
    for name in list(_known):
        if _known[name] != wanted.get(name):
            down(name)
    for name in wanted:
        if name not in _known and wanted[name].get("auto") != "0":
            up(name)


def restart() -> None:
    for name in list(_known):
        down(name)
    reload()


def up(name: str) -> None:
    options = configured().get(name)
    if options is None:
        return
    if name in _known:
        down(name)
    _known[name] = options
    device = options["device"]
    if options["_ports"] is not None:
        _ip("link", "add", device, "type", "bridge")
        for port in options["_ports"]:
            _ip("link", "set", port, "up", "master", device)
    carrier = _ip("link", "set", device, "up")
    entry = {
        "interface": name, "up": False, "pending": carrier, "available": carrier, "autostart": True,
        "dynamic": False, "l3_device": device, "proto": options.get("proto", "none"), "device": device, "metric": 0,
        "delegation": True, **{key: [] for key in _EMPTY}, "data": {},
    }  # fmt: skip
    store(entry)
    if not carrier:
        return
    if options.get("proto") == "dhcp":
        client = ["udhcpc", "-f", "-i", device, "-t", "0", "-A", "5", "-x", f"hostname:{os.uname().nodename}"]
        environment = {"INTERFACE": name}
        _clients[name] = loop.spawn([*client, "-s", "/usr/lib/standin/dhcp"], environment=environment)
    elif options.get("proto") == "static":
        addresses = [_address(one, options.get("netmask")) for one in config.words(options.get("ipaddr"))]
        prefix = str(options.get("_prefix") or "") if "ip6assign" in options else ""
        _raise(entry, addresses, config.words(options.get("gateway")), config.words(options.get("dns")), prefix)


def down(name: str) -> None:
    options = _known.pop(name, None)
    entry = find(name)
    if _clients.get(name):
        try:
            os.kill(_clients.pop(name), 15)
        except ProcessLookupError:
            pass
    if options is None or entry is None:
        return
    _ip("addr", "flush", "dev", options["device"])
    if not options["_ports"] and options["device"] != "lo":
        _ip("link", "set", options["device"], "down")
    was_up = entry["up"]
    store({**entry, "up": False, "pending": False, **{key: [] for key in _EMPTY}})
    if was_up:
        _tell(name, "ifdown", "interface.down")


def leased(message: dict[str, Any]) -> None:
    """From the DHCP client's script: `ip`, `mask`, `router`, `dns`, or none of them when the lease is lost."""
    name = message["interface"]
    entry = find(name)
    if entry is None or name not in _known:
        return
    _ip("addr", "flush", "dev", entry["l3_device"])
    if message.get("ip"):
        addresses = [_address(message["ip"], message.get("mask"))]
        _raise(entry, addresses, message.get("router", "").split()[:1], message.get("dns", "").split(), "")
    elif entry["up"]:
        store({**entry, "up": False, "pending": True, **{key: [] for key in _EMPTY}})
        _tell(name, "ifdown", "interface.down")


def _raise(
    entry: dict[str, Any], addresses: list[tuple[str, int]], gateways: list[str], servers: list[str], prefix: str
) -> None:
    device = entry["l3_device"]
    again = entry["up"]
    entry = {**entry, **{key: [] for key in _EMPTY}, "up": True, "pending": False, "since": time.monotonic()}
    for address, mask in addresses:
        _ip("addr", "replace", f"{address}/{mask}", "broadcast", "+", "dev", device)
        entry["ipv4-address"].append({"address": address, "mask": mask})
    if prefix:
        base = prefix.partition("/")[0]
        _ip("-6", "addr", "add", f"{base}1/60", "dev", device)
        own = {"address": f"{base}1", "mask": 60}
        entry["ipv6-prefix-assignment"].append({"address": base, "mask": 60, "local-address": own})
    for gateway in gateways:
        _ip("route", "replace", "default", "via", gateway, "dev", device)
        entry["route"].append({"target": "0.0.0.0", "mask": 0, "nexthop": gateway, "source": "0.0.0.0/0"})
    entry["dns-server"] = servers
    store(entry)
    if servers:
        with open("/tmp/resolv.conf", "w") as file:
            file.write("".join(f"nameserver {one}\n" for one in servers))
    _tell(str(entry["interface"]), "ifupdate" if again else "ifup", "interface.update" if again else "interface.up")


def _tell(name: str, action: str, kind: str) -> None:
    event(kind, {"interface": name})
    bus.send("network.interface", {"action": action, "interface": name})
    device = (find(name) or {}).get("l3_device", "")
    _hotplug.append({"ACTION": action, "INTERFACE": name, "DEVICE": device})
    _next_hotplug()


def _next_hotplug() -> None:
    """One call after the other, as the real one has them."""
    global _hotplug_pid
    if _hotplug_pid or not _hotplug:
        return

    def ended(status: int) -> None:
        global _hotplug_pid
        _hotplug_pid = 0
        _next_hotplug()

    _hotplug_pid = loop.spawn(["/sbin/hotplug-call", "iface"], ended, environment=_hotplug.pop(0))


def _ip(*words: str) -> bool:
    """Runs `ip` and waits for it, which is as quick as it is on a router."""
    pid = os.posix_spawn("/bin/busybox", ["ip", *words], {"PATH": loop.PATH})
    return os.waitpid(pid, 0)[1] == 0


def _address(text: str, netmask: Any) -> tuple[str, int]:
    address, _, mask = text.partition("/")
    if not mask:
        mask = str(netmask or "32")
    if "." in mask:
        mask = str(sum(bin(int(part)).count("1") for part in mask.split(".")))
    return address, int(mask)


# ---- what network.sh asks --------------------------------------------------------------------------------------------


def command(asked: Call) -> None:
    """NETWORK WHAT: `ipaddrs` and so on of the network, or `wan`, the network with the default route."""
    name, what = asked.words[1:]
    if what == "wan":
        found = [one["interface"] for one in interfaces() if one.get("up") and _default(one)]
        asked.done(0 if found else 1, f"{found[0] if found else ''}\n")
        return
    one = find(name)
    if one is None or what == "up":
        asked.done(0 if one is not None and one.get("up") else 1)
        return
    four = one.get("ipv4-address", [])
    six = one.get("ipv6-address", []) + [own["local-address"] for own in one.get("ipv6-prefix-assignment", [])]
    values = {
        "ipaddr": [own["address"] for own in four],
        "ipaddr6": [own["address"] for own in six],
        "subnet": [f"{own['address']}/{own['mask']}" for own in four],
        "subnet6": [f"{own['address']}/{own['mask']}" for own in six],
        "gateway": _default(one),
        "dnsserver": one.get("dns-server", []),
        "device": [one["l3_device"]] if "l3_device" in one else [],
        "physdev": [one["device"]] if "device" in one else [],
    }[what.replace("s6", "6").rstrip("s")]
    plural = what.endswith(("s", "s6"))
    asked.done(0 if values else 1, " ".join(values if plural else values[:1]) + "\n")


def _default(interface: dict[str, Any]) -> list[str]:
    routes = interface.get("route", [])
    return [route["nexthop"] for route in routes if route["target"] == "0.0.0.0" and not route["mask"]]
