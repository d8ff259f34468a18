"""Packages in the lab: what the package manager believes to be installed, and what an image is built with.

A package goes into an image as OpenWrt's ImageBuilder puts it there: by opkg or apk for another root, so that nothing
starts, and uci-defaults wait for the first boot. assemble.py, images/lab.py and the tests call this.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from forge.core import cli, paths, proc, transcript
from forge.core.errors import ForgeError, UsageError
from forge.lab import postfix
from forge.lab import tree as trees
from forge.lab.targets import Target
from forge.packages import makefile, minisdk, stage

# Of a package manager: its files, the stand-in's program, what that is called with, and where it keeps its list.
FORMATS = {"opkg": "ipk", "apk": "apk"}
FILES = tuple(f".{format}" for format in FORMATS.values())
PROGRAMS = {
    "opkg": ("usr/lib/standin/opkg.py", "--offline-root", "install"),
    "apk": ("usr/lib/standin/apk.py", "--root", "add"),
}
STATUS = "usr/lib/opkg/status"
INSTALLED_DB = "lib/apk/db/installed"
TIMEOUT = 120.0

# OpenWrt's packages, and Debian's that stand for them, {} being Python's version; those of the stand-in have its own.
INSTALLED = {
    "busybox": "busybox",
    "ca-bundle": "ca-certificates",
    "dropbear": "dropbear-bin",
    "libc": "libc6",
    "libopenssl3": "libssl3",
    "nftables-json": "nftables",
    "python3-base": "python{}-minimal",
    "python3-light": "libpython{}-stdlib",
    "python3-openssl": "libpython{}-stdlib",
    "zlib": "zlib1g",
}
STANDIN = (
    *("base-files", "firewall4", "jshn", "jsonfilter", "logd", "netifd", "procd", "rpcd", "ubus", "ubusd"),
    *("uclient-fetch", "uci"),
    "luci-base",  # nothing of LuCI is there: it lets our app be installed, whose part on the router is rpcd's
)


def offered() -> dict[str, Path | None]:
    """What can be put into the lab's firmware by its name: ours with their directories, and Debian's Postfix."""
    directories = sorted(path.parent for path in paths.PACKAGES.glob("*/Makefile"))
    return {**{name: directory for directory in directories for name in stage.defined(directory)}, "postfix": None}


def named(target: Target, names: Sequence[str], folder: Path, *, offline: bool = False) -> list[Path]:
    """The files of these names, in the order in which they can be installed: what one needs stands before it.

    A name is a path, `postfix` (of Debian's), or one of our own, which is built in `folder`.
    """
    known = offered()
    format = FORMATS[target.manager]
    found: dict[str, list[Path]] = {}

    def add(name: str) -> None:
        if name in found:
            return
        if name.endswith(FILES):
            if not Path(name).is_file():
                raise UsageError(f"there is no file {name}", hint="./inv build makes packages in dist/")
            found[name] = [Path(name)]
            return
        directory = known[cli.choice(name, known, "--packages")]
        if directory is None:
            found[name] = [postfix.packed(target, offline=offline)]
            return
        with stage.staged(directory, [name]) as packages:
            for needed in (one for package in packages for one in package.depends if one in known):
                add(needed)
            found[name] = [one.path for package in packages for one in minisdk.pack(package, folder, format)]

    for name in names:
        add(name)
    return [path for paths_of_one in found.values() for path in paths_of_one]


def install(target: Target, tree: Path, packages: Sequence[Path]) -> None:
    """Put packages into a tree that is no system yet, by the stand-in's package manager. ForgeError with its reason."""
    if not packages:
        return
    name = target.manager
    program, option, command = PROGRAMS[name]
    argv: list[proc.Arg] = [*makefile.clean_environment(), sys.executable, "-I", tree / program, option, tree, command]
    argv += ["--allow-untrusted"] if name == "apk" else []
    transcript.command(name, command, *(path.name for path in packages))
    done = proc.run([*argv, *packages], timeout=TIMEOUT, check=False, on_line=transcript.detail)
    if done.status:
        said = re.split("Collected errors:|ERROR:", done.output, maxsplit=1)[-1]
        reason = " ".join(text for line in said.splitlines() if (text := line.strip(" *\t")))
        raise ForgeError(
            f"{name} can't install what was asked for: {reason or 'its output is in the log'}",
            hint="leave packages out with --packages=-NAME",
        )


def list_installed(target: Target, tree: Path, archives: Sequence[Path]) -> None:
    """Write down for the package manager what the root file system is made of."""
    debian = [path.name.split("_") for path in archives]
    versions = {name.removesuffix("t64"): version.replace("%3a", ":") for name, version, *_ in debian}
    there = {
        name: versions[INSTALLED[name].format(target.python)] if name in INSTALLED else "0-standin"
        for name in names(target)
    }
    if target.manager == "opkg":
        lines = []
        for name, version in there.items():
            fields = (f"Package: {name}", f"Version: {version}", "Status: install ok installed")
            lines += [*fields, f"Architecture: {target.package_architecture}", ""]
        trees.write(tree / STATUS, ("\n".join(lines) + "\n").encode())
        return
    for folder in ("etc/apk/keys", "lib/apk/packages"):
        trees.make_folder(tree / folder)
    listed, world = [], []
    for name, version in there.items():
        unique = hashlib.sha1(f"{name} {version}".encode()).digest()
        listed.append({"name": name, "version": version, "arch": target.package_architecture, "id": unique.hex()})
        world.append(f"{name}><Q1{base64.b64encode(unique).decode()}")
    trees.write(tree / INSTALLED_DB, "".join(f"{json.dumps(one)}\n" for one in listed).encode())
    trees.write(tree / "etc/apk/world", "".join(f"{line}\n" for line in world).encode())
    trees.write(tree / "etc/apk/arch", f"{target.package_architecture}\n".encode())


def names(target: Target) -> list[str]:
    """OpenWrt's packages that count as installed."""
    return sorted([*INSTALLED, *STANDIN, target.manager])
