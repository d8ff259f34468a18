"""What a task would do and bring (--dry-run), for tasks that take long or bring much. Nothing is done."""

from __future__ import annotations

from forge.core import console
from forge.vm import machines


def demo(*, target: str, local: bool) -> None:
    """What `./inv demo` would do."""
    if local:
        console.say("The relay and a mail provider (Debian's Postfix, unpacked) would run on this machine's loopback.")
    else:
        machine = machines.find(target)
        console.say(f"Firmware for {machine.target} would be made of Debian's packages (some 65 MB, kept in the cache)")
        console.say(f"and booted by {machine.qemu}; the package mailrelay would be built and installed there.")
