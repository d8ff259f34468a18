"""Packages in the lab: what opkg believes to be installed, what an image is built with, and Postfix as OpenWrt has it.

A package goes into an image as OpenWrt's ImageBuilder puts it there: by opkg for another root, so that nothing starts,
and uci-defaults wait for the first boot. assemble.py, images/lab.py and the tests call this.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock

from forge.core import cli, hashes, paths, proc, transcript
from forge.core.errors import ForgeError, UsageError
from forge.host import debian_packages
from forge.lab import elf, rootfs
from forge.lab import tree as trees
from forge.lab.targets import SUITE, Target
from forge.lab.unpack import Member
from forge.packages import ipk, makefile, minisdk, stage
from forge.packages.package import Package

STATUS = "usr/lib/opkg/status"
OPKG = "usr/lib/standin/opkg.py"
TIMEOUT = 120.0

# OpenWrt's packages, and Debian's that stand for them; those of the stand-in have its version.
INSTALLED = {
    "busybox": "busybox",
    "ca-bundle": "ca-certificates",
    "dropbear": "dropbear-bin",
    "libc": "libc6",
    "libopenssl3": "libssl3",
    "nftables-json": "nftables",
    "python3-base": "python3.11-minimal",
    "python3-light": "libpython3.11-stdlib",
    "python3-openssl": "libpython3.11-stdlib",
    "zlib": "zlib1g",
}
STANDIN = (
    *("base-files", "firewall4", "jshn", "jsonfilter", "logd", "netifd", "opkg", "procd", "rpcd", "ubus", "ubusd"),
    *("uclient-fetch", "uci"),
    "luci-base",  # nothing of LuCI is there: it lets our app be installed, whose part on the router is rpcd's
)

# Debian's package, less what only Debian's own scripts use.
POSTFIX = ("postfix", "libsasl2-modules")
POSTFIX_FILES = ("usr/sbin/", "usr/lib/postfix/", "etc/postfix/")
POSTFIX_UNUSED = ("usr/lib/postfix/sbin/postfix-tls-script", "usr/sbin/qshape", "usr/sbin/postfix-")
POSTFIX_MAIN = """\
# As a mail server for the machine itself. Daemons and commands are where Debian has them.
compatibility_level = 3.6
mynetworks_style = subnet
queue_directory = /usr/var/spool/postfix
data_directory = /usr/var/lib/postfix
maillog_file_prefixes = /var, /tmp
"""
POSTFIX_INIT = """\
#!/bin/sh /etc/rc.common
# Stand-in for the init script of OpenWrt's package postfix.
START=50
STOP=50

start() {
	mkdir -p /usr/var/spool/postfix /usr/var/lib/postfix
	chown postfix /usr/var/lib/postfix
	postfix set-permissions >/dev/null 2>&1
	postfix start
}

stop() {
	postfix stop
}

reload() {
	postfix reload
}
"""
POSTFIX_POSTINST = """\
#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
grep -q '^postdrop:' /etc/group || echo 'postdrop:x:26:' >>/etc/group
mkdir -p /usr/var/spool/postfix/maildrop /usr/var/spool/postfix/public /usr/var/lib/postfix
chown postfix /usr/var/lib/postfix
chown postfix:postdrop /usr/var/spool/postfix/maildrop /usr/var/spool/postfix/public
chmod 0730 /usr/var/spool/postfix/maildrop
chmod 0710 /usr/var/spool/postfix/public
chown root:postdrop /usr/sbin/postdrop /usr/sbin/postqueue
chmod 2755 /usr/sbin/postdrop /usr/sbin/postqueue
exit 0
"""


def offered() -> dict[str, Path | None]:
    """What can be put into the lab's firmware by its name: ours with their directories, and Debian's Postfix."""
    directories = sorted(path.parent for path in paths.PACKAGES.glob("*/Makefile"))
    return {**{name: directory for directory in directories for name in stage.defined(directory)}, "postfix": None}


def named(target: Target, names: Sequence[str], folder: Path, *, offline: bool = False) -> list[Path]:
    """The .ipk files of these names, in the order in which they can be installed: what one needs stands before it.

    A name is a path, `postfix` (of Debian's), or one of our own, which is built in `folder`.
    """
    known = offered()
    found: dict[str, list[Path]] = {}

    def add(name: str) -> None:
        if name in found:
            return
        if name.endswith(".ipk"):
            if not Path(name).is_file():
                raise UsageError(f"there is no file {name}", hint="./inv build makes packages in dist/")
            found[name] = [Path(name)]
            return
        directory = known[cli.choice(name, known, "--packages")]
        if directory is None:
            found[name] = [postfix(target, offline=offline)]
            return
        with stage.staged(directory, [name]) as packages:
            for needed in (one for package in packages for one in package.depends if one in known):
                add(needed)
            found[name] = [one.path for package in packages for one in minisdk.pack(package, folder, "ipk")]

    for name in names:
        add(name)
    return [path for paths_of_one in found.values() for path in paths_of_one]


def install(tree: Path, packages: Sequence[Path]) -> None:
    """Put packages into a tree that is no system yet, by the stand-in's opkg. ForgeError with its reason."""
    if not packages:
        return
    opkg: list[proc.Arg] = [*makefile.clean_environment(), sys.executable, "-I", tree / OPKG, "--offline-root", tree]
    transcript.command("opkg", "install", *(path.name for path in packages))
    done = proc.run([*opkg, "install", *packages], timeout=TIMEOUT, check=False, on_line=transcript.detail)
    if done.status:
        said = [line.strip(" *\t") for line in done.output.partition("Collected errors:")[2].splitlines()]
        reason = " ".join(line for line in said if line) or "its output is in the log"
        raise ForgeError(
            f"opkg can't install what was asked for: {reason}", hint="leave packages out with --packages=-NAME"
        )


def list_installed(target: Target, tree: Path, archives: Sequence[Path]) -> None:
    """Write down for opkg what the root file system is made of."""
    versions = {path.name.split("_")[0]: path.name.split("_")[1].replace("%3a", ":") for path in archives}
    lines = []
    for name in sorted([*INSTALLED, *STANDIN]):
        version = versions[INSTALLED[name]] if name in INSTALLED else "0-standin"
        fields = (f"Package: {name}", f"Version: {version}", "Status: install ok installed")
        lines += [*fields, f"Architecture: {target.package_architecture}", ""]
    trees.write(tree / STATUS, ("\n".join(lines) + "\n").encode())


# ---- Postfix --------------------------------------------------------------------------------------------------------


def postfix(target: Target, *, offline: bool = False) -> Path:
    """Debian's Postfix as a package that opkg installs, with the libraries that no guest has. Made once."""
    fetch = partial(debian_packages.download, suite=SUITE, architecture=target.architecture, offline=offline)
    archives = fetch(POSTFIX)
    version = next(path.name.split("_")[1] for path in archives if path.name.startswith("postfix_"))
    folder = paths.cache("lab", "parcels", target.name)
    output = folder / f"postfix_{version.partition('-')[0]}-r1_{target.package_architecture}.ipk"
    stamp = f"{[path.name for path in archives]} {Path(__file__).read_text()}"
    with FileLock(folder / ".lock"):
        made_from = output.with_suffix(".from")
        recorded, _, origin = made_from.read_text().partition("\n") if made_from.exists() else ("", "", "")
        if origin != stamp or hashes.difference(output, recorded):
            archives = fetch(POSTFIX, whole=True)
            most = fetch(rootfs.PACKAGES, kernel=target.kernel, whole=True)
            base = rootfs.members(most + fetch(rootfs.ALONE, alone=True, whole=True))
            with tempfile.TemporaryDirectory(prefix=".postfix-", dir=folder) as root:
                _lay_out_postfix(target, archives, base, Path(root))
                ipk.pack(_postfix_package(target, version.partition("-")[0], Path(root)), folder)
            made_from.write_text(f"{hashes.digest(output)}\n{stamp}")
    return output


def _lay_out_postfix(target: Target, archives: Sequence[Path], base: Mapping[str, Member], root: Path) -> None:
    root.chmod(0o755)
    found = rootfs.members(archives)
    own = {path.rpartition("/")[2] for path in found if path.startswith("usr/lib/postfix/")}
    mail = rootfs.members([path for path in archives if path.name.startswith("postfix_")])
    chosen = {path: member for path, member in mail.items() if path.startswith(POSTFIX_FILES)}
    chosen |= {path: member for path, member in found.items() if "/sasl2/lib" in path}
    programs = []
    for path, member in chosen.items():
        if path.startswith(POSTFIX_UNUSED):
            continue
        if member.target:
            trees.link(root / path, member.target)
            continue
        if elf.is_elf(member.data):
            programs.append(member.data)
        trees.write(root / path, member.data, 0o755 if member.mode & 0o100 else 0o644)
    there = rootfs.guest_libraries(target, base)
    for place, data in rootfs.libraries(target, found, programs).items():
        if place not in there and place.rpartition("/")[2] not in own:
            trees.write(root / place, data, 0o755)
    trees.write(root / "etc/postfix/main.cf", POSTFIX_MAIN.encode())
    trees.write(root / "etc/init.d/postfix", POSTFIX_INIT.encode(), 0o755)


def _postfix_package(target: Target, version: str, root: Path) -> Package:
    return Package(
        name="postfix",
        version=version,
        release="1",
        depends=["libc"],
        section="mail",
        license="EPL-2.0",
        maintainer="Debian's, packed for the lab",
        source="lab",
        sourcename="postfix",
        userid="postfix=25:postfix=25",
        architecture=target.package_architecture,
        title="Postfix",
        description=" Debian's Postfix, laid out for a lab guest.",
        conffiles=["/etc/postfix/main.cf", "/etc/postfix/master.cf"],
        scripts={"postinst": POSTFIX_POSTINST},
        root=root,
        epoch=int(root.stat().st_mtime),
    )
