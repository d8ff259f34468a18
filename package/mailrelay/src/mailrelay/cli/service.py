"""The relay as a service of its machine: how it is started there, and what OpenWrt's init script tells of its settings.

The init script writes service.json (common.sh, tell_service) whenever it takes up the settings; only a router has one.
"""

from __future__ import annotations

import os

from mailrelay.core import paths
from mailrelay.core.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    class Service(TypedDict, total=False):
        """What the file holds, as far as it is read here."""

        settings: str  # good, refused, missing or off
        since: float | None  # wall time
        running_old: bool
        findings: list[dict[str, str | int | bool]]


INIT = "/etc/init.d/mailrelay"
SWITCH_ON = "uci set mailrelay.main.enabled=1; uci commit mailrelay; service mailrelay reload"


def start_command() -> str:
    """Return what starts the relay on this machine."""
    if os.path.exists(INIT):
        return "service mailrelay start"
    units = (f"{folder}/systemd/system/mailrelay.service" for folder in ("/etc", "/usr/lib", "/lib"))
    return "systemctl start mailrelay" if any(map(os.path.exists, units)) else "mailrelay serve"


def read(run_dir: str) -> Service:
    """Return what the file holds; {} without one."""
    import json

    try:
        with open(f"{run_dir}/{paths.SERVICE}", "rb") as file:
            found: Service = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def why_not_running(service: Service) -> str:
    """Return what ends the sentence "mailrelay is ..." of a relay that does not run."""
    settings = service.get("settings")
    if settings == "off":
        return f"switched off; to switch it on: {SWITCH_ON}"
    if settings in ("refused", "missing"):
        return f"not running, as its settings are {settings}; mend them, then: {start_command()}"
    return f"not running; start it with '{start_command()}'"


def faults(service: Service) -> Iterator[str]:
    """Yield what is wrong with the settings, with its place in the file."""
    for finding in service.get("findings", []):
        where = f"line {finding['line']}: " if finding.get("line") else ""
        places = [f"{kind} '{finding[kind]}'" for kind in ("section", "option") if finding.get(kind)]
        problem = " ".join(filter(None, (", ".join(places), str(finding.get("problem", "")))))
        yield printable(f"{where}{problem}; {finding.get('hint', '')}")
