"""What each task needs of a machine: groups of Debian packages (forge/system-packages) and sets of Python packages
(requirements.txt is for every task, requirements/SET.txt for some).

Data, and the few rules that choose among it. ./inv brings what a command line needs, `doctor` tells what is missing,
checks.py and the tasks refuse to begin without it. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from forge.core import choices, paths


@dataclass(frozen=True)
class Needs:
    """Names of groups and sets, the ones that every task has (base) left out."""

    system: frozenset[str] = frozenset()
    python: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.system | other.system, self.python | other.python)


def _needs(system: str = "", python: str = "") -> Needs:
    return Needs(frozenset(system.split()), frozenset(python.split()))


NOTHING = Needs()
LINT = _needs("lint", "lint")
BUILD = _needs("build")
SDK = _needs("image sdk")
IMAGE = _needs("image")
LAB = _needs("lab")

# The areas of ./inv test are the folders of tests/.
_TEST = _needs("test", "test")
AREAS = {
    "arduino": _TEST | _needs("arduino"),
    "bare": _TEST | BUILD,
    "deb": _TEST | BUILD,
    "docs": _TEST | BUILD | LAB,
    "e2e": _TEST | BUILD | LAB | _needs("mips"),
    "forge": _TEST | BUILD | LAB | _needs("mips x86"),
    "host": _TEST | BUILD,
    "lab": _TEST | BUILD | LAB,
    "luci": _TEST | BUILD | _needs("luci", "luci"),
    "package": _TEST | BUILD | LAB,
    "relay": _TEST | _needs("cpus"),
    "targets": _TEST | BUILD,
}

REST = "--"  # the words behind it, among a call's values
AREA = re.compile(r"(?:^|[\s/])tests/([a-z0-9]+)(?=[/\s]|$)")

# Which QEMU boots a target: by the beginning of its name.
QEMU = {"lab-mipsel": "mips", "malta": "mips", "lab-x86": "x86", "x86": "x86", "lab-arm": "arm", "armsr": "arm"}


def qemu(target: str) -> Needs:
    """The QEMU of a target; that of the default one where none is named."""
    group = next((group for start, group in QEMU.items() if (target or "lab-mipsel").startswith(start)), "")
    return _needs(group)


def demo(values: Mapping[str, object]) -> Needs:
    return NOTHING if values["local"] else BUILD | LAB | qemu(str(values["target"]))


def guest(values: Mapping[str, object]) -> Needs:
    """Firmware that is built here, or an image that is given, in QEMU."""
    return BUILD | LAB | qemu(str(values["target"]))


def bench(values: Mapping[str, object]) -> Needs:
    return guest(values) if values["target"] else NOTHING


def build(values: Mapping[str, object], *, known: Callable[[str], bool]) -> Needs:
    """By OpenWrt's SDK for a target that is `known`: for a mistyped one nothing large is brought."""
    target = str(values["target"])
    by_sdk = target and values["builder"] != "mini" and values["format"] != "deb"
    return BUILD | SDK if by_sdk and known(target) else BUILD


def image(values: Mapping[str, object], *, known: Callable[[str], bool]) -> Needs:
    """The lab's images by ourselves, a server's by nobody here, all others by OpenWrt's ImageBuilder."""
    wanted = NOTHING
    for target in str(values["target"]).split(","):
        name = target.partition(":")[0].strip()
        if name.startswith("lab-"):
            wanted |= BUILD | LAB
        else:
            wanted |= BUILD if values["via"] or not known(name) else BUILD | IMAGE
    return wanted


def test(values: Mapping[str, object]) -> Needs:
    """Of an area, or of all of them with the linters, on the lab's targets that are booted."""
    only = str(values["only"])
    if only == "lint":
        return LINT
    router = values["host"] or values["firmware"] or values["target"]
    paths_named = AREA.findall(" ".join(map(str, values.get(REST) or ())))  # type: ignore[call-overload]
    areas = ["lab", choices.on_router(only)] if router else [only] if only else paths_named or list(AREAS)
    wanted = LINT if values["lint"] and not only and not router else NOTHING
    for area in areas:
        wanted |= AREAS.get(area, _TEST)
    if "lab" in areas and not values["host"]:
        targets = [str(values["target"])] if values["target"] else ["lab-mipsel", "lab-x86-64"]
        for target in targets + (["lab-arm64"] if values["all_targets"] else []):
            wanted |= qemu(target)
    return wanted


# ---- the packages ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SystemPackage:
    """A line of forge/system-packages: `group` needs `name`, which is there if `probe` is: a command, or a file."""

    group: str
    name: str
    probe: str
    why: str

    def present(self) -> bool:
        """What starts with a slash is a file, with a colon Python itself, and this runs; anything else a command."""
        if self.probe.startswith("/"):
            return Path(self.probe).exists()
        return self.probe.startswith(":") or command(self.probe) is not None


def system_packages() -> list[SystemPackage]:
    lines = paths.SYSTEM_PACKAGES.read_text().splitlines()
    return [SystemPackage(*line.split(maxsplit=3)) for line in lines if line and not line.startswith("#")]


def command(name: str) -> Path | None:
    """Where a program is, the folders of a system administrator's programs included."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    return Path(found) if found else None


def stamped(name: str) -> bool:
    """Whether a set of Python packages is in .venv as its lock file has it: ./inv writes the stamp."""
    try:
        stamp = (paths.ROOT / ".venv" / f".stamp.{name}").read_text()
        return stamp.split()[0] == hashlib.sha256(paths.requirements(name).read_bytes()).hexdigest()
    except (OSError, IndexError):
        return False
