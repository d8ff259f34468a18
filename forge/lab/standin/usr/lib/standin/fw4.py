"""Stand-in for fw4: /etc/config/firewall and the rules in services' data, as a ruleset for nft.

Zones (input and forward policies, masquerading), rules, and redirects to the router itself; /sbin/fw4 loads the text.
No sets, includes, limits, helpers or forwarded rules.
"""

from __future__ import annotations

import os

import config
import netifd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from door import Call

    Entry = dict[str, Any]

STATE = "/var/run/fw4.state"
get_data: Callable[[], dict[str, Any]] = dict  # procd's, set by the daemon
_FAMILIES = {"ipv4": "ip", "ipv6": "ip6"}


def command(asked: Call) -> None:
    """print: the ruleset. network NAME, device NAME: what fw4 says of them while it runs (it has its state file)."""
    what, *names = asked.words[1:]
    if what == "print":
        asked.done(0, ruleset())
        return
    for zone in entries("zone") if os.path.exists(STATE) else ():
        found = config.words(zone.get("network")) if what == "network" else devices(zone)
        if names and names[0] in found:
            asked.done(0, f"{zone['name']}\n")
            return
    asked.done(1)


def entries(type: str) -> list[Entry]:
    found = [dict(section.options) for section in config.load("firewall") if section.type == type]
    return [one for one in found if str(one.get("enabled", "1")) not in ("0", "off", "false", "no")]


def devices(zone: Entry) -> list[str]:
    found = list(config.words(zone.get("device")))
    for name in config.words(zone.get("network")):
        interface = netifd.find(name)
        if interface and interface.get("l3_device") and interface["l3_device"] not in found:
            found.append(interface["l3_device"])
    return found


def service_entries(type: str) -> list[Entry]:
    """Rules and redirects that procd's services carry."""
    rules = [rule for instances in get_data().values() for data in instances.values() for rule in data["firewall"]]
    return [rule for rule in rules if rule.get("type") == type]


def ruleset() -> str:
    defaults = next(iter(entries("defaults")), {})
    zones = entries("zone")
    named = {str(zone["name"]): zone for zone in zones}
    rules = [rule for rule in [*entries("rule"), *service_entries("rule")] if not rule.get("dest")]
    redirects = [*entries("redirect"), *service_entries("redirect")]
    redirects = [one for one in redirects if not one.get("dest_ip") and str(one.get("src")) in named]
    out = ["table inet fw4", "flush table inet fw4", "", "table inet fw4 {"]
    out += _chain(
        "input", "type filter hook input priority filter; policy drop;",
        'iifname "lo" accept',
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        *[line for rule in rules if not rule.get("src") for line in rule_lines(rule)],
        *[f"iifname {_set(devices(zone))} jump input_{name}" for name, zone in named.items() if devices(zone)],
        *_verdict(str(defaults.get("input", "REJECT"))),
    )  # fmt: skip
    out += _chain(
        "forward", "type filter hook forward priority filter; policy drop;",
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        *[line for one in entries("forwarding") for line in _forwarding(one, named)],
        *_verdict(str(defaults.get("forward", "REJECT"))),
    )  # fmt: skip
    for name, zone in named.items():
        lines = [line for rule in rules if rule.get("src") in (name, "*") for line in rule_lines(rule)]
        if any(one["src"] == name for one in redirects):
            lines.append("ct status dnat accept")
        out += _chain(f"input_{name}", "", *lines, *_verdict(str(zone.get("input", defaults.get("input", "REJECT")))))
    if redirects:
        jumps = [f"iifname {_set(devices(zone))} jump dstnat_{name}" for name, zone in named.items() if devices(zone)]
        for name in named:
            out += _chain(
                f"dstnat_{name}", "", *[line for one in redirects if one["src"] == name for line in dnat(one)]
            )
        out += _chain("dstnat", "type nat hook prerouting priority dstnat; policy accept;", *jumps)
    hidden = [device for zone in zones if str(zone.get("masq")) == "1" for device in devices(zone)]
    if hidden:
        hook = "type nat hook postrouting priority srcnat; policy accept;"
        out += _chain("srcnat", hook, f"meta nfproto ipv4 oifname {_set(hidden)} masquerade")
    return "\n".join([*out, "}", ""])


def _forwarding(entry: Entry, named: dict[str, Entry]) -> list[str]:
    source, target = (devices(named.get(str(entry.get(key)), {})) for key in ("src", "dest"))
    return [f"iifname {_set(source)} oifname {_set(target)} accept"] if source and target else []


def _chain(name: str, hook: str, *lines: str) -> list[str]:
    return [f"\tchain {name} {{", *[f"\t\t{line}" for line in (hook, *lines) if line], "\t}"]


def _set(names: list[str]) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"


def _verdict(policy: str) -> list[str]:
    if policy.upper() == "REJECT":
        return ["meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"]
    return [policy.lower() if policy.upper() in ("ACCEPT", "DROP") else "drop"]


def rule_lines(rule: Entry) -> list[str]:
    """One line for each of its protocols."""
    protocols = [one.lower() for one in config.words(rule.get("proto"))] or ["tcp", "udp"]
    if "tcpudp" in protocols:
        protocols = ["tcp", "udp"]
    lines = []
    for protocol in protocols:
        words = _sources(rule, protocol)
        if protocol in ("tcp", "udp"):
            words += _ports("dport", protocol, rule.get("dest_port")) or [f"meta l4proto {protocol}"]
        elif protocol in ("icmp", "icmpv6", "icmp6"):
            words += _icmp(rule)
        elif protocol not in ("all", "any", "*"):
            words.append(f"meta l4proto {protocol}")
        comment = f' comment "!fw4: {rule["name"]}"' if rule.get("name") else ""
        lines.append(f"{' '.join(words)} counter {_verdict(str(rule.get('target', 'DROP')))[-1]}{comment}".strip())
    return lines


def _icmp(rule: Entry) -> list[str]:
    family = "icmpv6" if rule.get("family") == "ipv6" else "icmp"
    types = [one for one in config.words(rule.get("icmp_type")) if "/" not in one]
    names = {
        "neighbour-solicitation": "nd-neighbor-solicit", "neighbour-advertisement": "nd-neighbor-advert",
        "router-solicitation": "nd-router-solicit", "router-advertisement": "nd-router-advert",
        "unknown-header-type": "parameter-problem", "bad-header": "parameter-problem",
    }  # fmt: skip
    found = sorted({names.get(one, one) for one in types})
    if found:
        return [f"{family} type {{ {', '.join(found)} }}"]
    return [f"meta l4proto {'ipv6-icmp' if family == 'icmpv6' else 'icmp'}"]


def dnat(entry: Entry) -> list[str]:
    """A redirect to the router itself."""
    lines = []
    for protocol in config.words(entry.get("proto")) or ["tcp", "udp"]:
        words = _sources(entry, protocol) + _ports("dport", protocol, entry.get("src_dport"))
        lines.append(f"{' '.join(words)} counter redirect to :{entry.get('dest_port') or entry['src_dport']}")
    return lines


def _sources(entry: Entry, protocol: str) -> list[str]:
    words = []
    family = str(entry.get("family", "any"))
    for key, match in (("src_ip", "saddr"), ("dest_ip", "daddr"), ("src_dip", "daddr")):
        value = entry.get(key)
        if value:
            addresses = config.words(value)
            words.append(f"{'ip6' if ':' in addresses[0] else 'ip'} {match} {{ {', '.join(addresses)} }}")
    if not words and family in _FAMILIES:
        words.append(f"meta nfproto {family}")
    return words + _ports("sport", protocol, entry.get("src_port"))


def _ports(match: str, protocol: str, ports: Any) -> list[str]:
    found = [one.replace(":", "-") for one in config.words(str(ports) if isinstance(ports, int) else ports)]
    return [f"{protocol} {match} {{ {', '.join(found)} }}"] if found else []
