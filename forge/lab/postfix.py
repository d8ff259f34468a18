"""Debian's Postfix as OpenWrt has it: a package for a lab guest. package_state.py and the tests call this."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock

from forge.core import hashes, paths
from forge.host import debian_packages
from forge.lab import elf, rootfs
from forge.lab import tree as trees
from forge.lab.targets import Target
from forge.lab.unpack import Member
from forge.packages import apk, ipk
from forge.packages.package import Package

# Debian's package, less what only Debian's own scripts use.
PACKAGES = ("postfix", "libsasl2-modules")
FILES = ("usr/sbin/", "usr/lib/postfix/", "etc/postfix/")
UNUSED = ("usr/lib/postfix/sbin/postfix-tls-script", "usr/sbin/qshape", "usr/sbin/postfix-")
MAIN = """\
# As a mail server for the machine itself. Daemons and commands are where Debian has them.
compatibility_level = 3.6
mynetworks_style = subnet
queue_directory = /usr/var/spool/postfix
data_directory = /usr/var/lib/postfix
maillog_file_prefixes = /var, /tmp
"""
INIT = """\
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
POSTINST = """\
#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] && exit 0
mkdir -p /usr/var/spool/postfix/maildrop /usr/var/spool/postfix/public /usr/var/lib/postfix
chown postfix /usr/var/lib/postfix
chown postfix:postdrop /usr/var/spool/postfix/maildrop /usr/var/spool/postfix/public
chmod 0730 /usr/var/spool/postfix/maildrop
chmod 0710 /usr/var/spool/postfix/public
chown root:postdrop /usr/sbin/postdrop /usr/sbin/postqueue
chmod 2755 /usr/sbin/postdrop /usr/sbin/postqueue
exit 0
"""


def packed(target: Target, *, offline: bool = False) -> Path:
    """Debian's Postfix as a package that the guest installs, with the libraries that it lacks. Made once."""
    fetch = partial(debian_packages.download, suite=target.suite, architecture=target.architecture, offline=offline)
    archives = fetch(PACKAGES)
    version = next(path.name.split("_")[1] for path in archives if path.name.startswith("postfix_"))
    folder = paths.cache("lab", "parcels", target.stem)
    version = version.partition("-")[0]
    named = {"opkg": f"postfix_{version}-r1_{target.package_architecture}.ipk", "apk": f"postfix-{version}-r1.apk"}
    output = folder / named[target.manager]
    stamp = f"{[path.name for path in archives]} {Path(__file__).read_text()}"
    with FileLock(folder / ".lock"):
        made_from = output.with_suffix(".from")
        recorded, _, origin = made_from.read_text().partition("\n") if made_from.exists() else ("", "", "")
        if origin != stamp or hashes.difference(output, recorded):
            archives = fetch(PACKAGES, whole=True)
            most = fetch(rootfs.packages(target), kernel=target.kernel, whole=True)
            base = rootfs.members(most + fetch(rootfs.ALONE, alone=True, whole=True))
            with tempfile.TemporaryDirectory(prefix=".postfix-", dir=folder) as root:
                _lay_out(target, archives, base, Path(root))
                pack = {"opkg": ipk.pack, "apk": apk.pack}[target.manager]
                pack(_package(target, version, Path(root)), folder)
            made_from.write_text(f"{hashes.digest(output)}\n{stamp}")
    return output


def _lay_out(target: Target, archives: Sequence[Path], base: Mapping[str, Member], root: Path) -> None:
    root.chmod(0o755)
    found = rootfs.members(archives)
    own = {path.rpartition("/")[2] for path in found if path.startswith("usr/lib/postfix/")}
    mail = rootfs.members([path for path in archives if path.name.startswith("postfix_")])
    chosen = {path: member for path, member in mail.items() if path.startswith(FILES)}
    chosen |= {path: member for path, member in found.items() if "/sasl2/lib" in path}
    programs = []
    for path, member in chosen.items():
        if path.startswith(UNUSED):
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
    trees.write(root / "etc/postfix/main.cf", MAIN.encode())
    trees.write(root / "etc/postfix/master.cf", mail["usr/share/postfix/master.cf.dist"].data)
    # Debian's copies files into a chroot, by Perl.
    trees.write(root / "usr/lib/postfix/configure-instance.sh", b"#!/bin/sh\nexit 0\n", 0o755)
    trees.write(root / "etc/init.d/postfix", INIT.encode(), 0o755)


def _package(target: Target, version: str, root: Path) -> Package:
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
        userid="postfix=25:postfix=25 postfix=25:postdrop=26",
        architecture=target.package_architecture,
        title="Postfix",
        description=" Debian's Postfix, laid out for a lab guest.",
        conffiles=["/etc/postfix/main.cf", "/etc/postfix/master.cf"],
        scripts={"postinst": POSTINST},
        root=root,
        epoch=int(root.stat().st_mtime),
    )
