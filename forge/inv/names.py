"""The names of targets that options take, read when they are asked for. Standard library only, as what it reads."""

from __future__ import annotations


def lab_targets() -> list[str]:
    from forge.lab import targets

    return list(targets.TARGETS)


def lab_releases() -> list[str]:
    from forge.lab import targets

    return list(targets.RELEASES)


def machines() -> list[str]:
    """What QEMU boots: the lab's targets, and those of OpenWrt's that it has a machine for."""
    from forge.vm import machines

    return list(machines.MACHINES)


def targets() -> list[str]:
    """The lab's and OpenWrt's, as far as they are known without asking its server."""
    from forge.openwrt import catalog

    return [*lab_targets(), *catalog.targets()]


def is_target(name: str) -> bool:
    """Whether it is one of OpenWrt's without asking its server: for a mistyped one nothing large is brought."""
    from forge.core.errors import UsageError
    from forge.openwrt import catalog

    try:
        catalog.target(name)
    except UsageError:
        return False
    return True
