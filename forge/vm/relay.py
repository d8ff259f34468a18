"""The relay on a guest of the lab, as the demo and the bench see it: a way in, its greeting, its roles' memory."""

from __future__ import annotations

import socket
from pathlib import Path

from forge.vm import ssh
from forge.vm.guest import Guest

# The roles of the relay in the order of their start, a line each: RSS, PSS, Pss_Anon in kB.
MEMORY = """
pid=$(jsonfilter -i /var/run/mailrelay/status.json -e @.pid)
for p in $pid $(cat /proc/$pid/task/$pid/children); do
	awk '/^Rss:/ {r = $2} /^Pss:/ {p = $2} /^Pss_Anon:/ {a = $2} END {print r, p, a}' /proc/$p/smaps_rollup
done
"""
ROLES = ("supervisor", "listener", "courier")


def site(folder: Path) -> Path:
    """A site file for firmware with nothing but a way in."""
    path = folder / "site.toml"
    path.write_text(f'[root]\nssh_keys = ["{ssh.public_key()}"]\n')
    return path


def memory(guest: Guest) -> list[list[int]]:
    """RSS, PSS and Pss_Anon in kB of each process, in the order of ROLES."""
    lines = guest.ssh.run(MEMORY, check=False).output.splitlines()
    return [[int(word) for word in line.split()] for line in lines if line.replace(" ", "").isdigit()]


def greeting(address: tuple[str, int], timeout: float) -> str:
    """The first line a server says; "" where nothing comes. QEMU takes connections in the guest's place."""
    try:
        with socket.create_connection(address, timeout) as client:
            client.settimeout(timeout)
            return client.makefile("rb").readline().decode(errors="replace").strip()
    except OSError:
        return ""
