"""The relay on a guest of the lab, as the demo and the bench see it: a way in, greeting, status, the roles' memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from forge.core import timeouts
from forge.core.errors import ForgeError
from forge.core.ports import greeting
from forge.site.site import Root, Site
from forge.vm import package_manager, ssh
from forge.vm.guest import Guest
from forge.vm.package_manager import PackageManager

# The roles of the relay in the order of their start, a line each: RSS, PSS, Pss_Anon in kB.
MEMORY = """
pid=$(jsonfilter -i /var/run/mailrelay/status.json -e @.pid)
for p in $pid $(cat /proc/$pid/task/$pid/children); do
	awk '/^Rss:/ {r = $2} /^Pss:/ {p = $2} /^Pss_Anon:/ {a = $2} END {print r, p, a}' /proc/$p/smaps_rollup
done
"""
ROLES = ("supervisor", "listener", "courier")
PATIENCE = 60.0  # seconds on a machine like ours, for anything that should happen soon
SILENCE = 2.0  # seconds without a byte that count as silence


def site() -> Site:
    """A site for firmware with nothing but a way in."""
    return Site(root=Root(ssh_keys=(ssh.public_key(),)))


def packages(guest: Guest) -> PackageManager:
    """The guest's package manager."""
    return package_manager.of(lambda line: guest.ssh.run(line, check=False))


def memory(guest: Guest) -> list[list[int]]:
    """RSS, PSS and Pss_Anon in kB of each process, in the order of ROLES."""
    lines = guest.ssh.run(MEMORY, check=False).output.splitlines()
    return [[int(word) for word in line.split()] for line in lines if line.replace(" ", "").isdigit()]


def until(what: str, reached: Callable[[], object]) -> None:
    """Wait until it is so; raise ForgeError with `what` did not come to be."""
    late = ForgeError(f"not within {PATIENCE:.0f} s: {what}")
    timeouts.wait(reached, timeouts.deadline(PATIENCE), lambda: late)


def until_it_greets(guest: Guest) -> None:
    until("the relay greets on the LAN", lambda: greeting(guest.lan(25), SILENCE).startswith("220 "))


def until_it_has_a_provider(guest: Guest) -> None:
    """A relay that runs already greets all the while that it takes up new settings."""
    until("the relay has taken up its provider", lambda: status(guest).get("provider"))
    until_it_greets(guest)


def status(guest: Guest) -> dict[str, Any]:
    """The relay's own account of itself; {} before it has written one."""
    try:
        return dict(json.loads(guest.ssh.run("cat /var/run/mailrelay/status.json", check=False).output))
    except ValueError:
        return {}
