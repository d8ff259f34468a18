"""The part of a guest's root file system that comes from Debian: busybox as its userland, Python, nftables, dropbear.

Laid out as on OpenWrt: not one folder for each architecture, no documentation, no locales, and of the libraries only
those that the programs ask for. What plays OpenWrt itself lies in standin/. assemble.py puts both together.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

from forge.core.errors import ForgeError
from forge.lab import elf, kernel, python, tree, unpack
from forge.lab.applets import APPLETS
from forge.lab.targets import Target
from forge.lab.unpack import Member

PACKAGES = ("busybox", "dropbear-bin", "nftables", "libgcc-s1")  # and Python
# Of which a program or files are wanted that need nothing else of what these depend on.
ALONE = ("util-linux", "ca-certificates")

# The initrd's: it conflicts with the other one, has applets that OpenWrt lacks, and starts in a third of the time.
STATIC = "busybox-static"

# Where a program is in the guest, and where in Debian's packages.
PROGRAMS = {
    "bin/busybox": "bin/busybox",
    "usr/bin/flock": "usr/bin/flock",  # Debian's busybox has none, OpenWrt's has
    "usr/sbin/nft": "usr/sbin/nft",
    "usr/sbin/dropbear": "usr/sbin/dropbear",
    "usr/bin/dropbearkey": "usr/bin/dropbearkey",
}
# Asked for by no header: a thread that ends needs it.
EXTRA_LIBRARIES = ("libgcc_s.so.1",)

LINKS = {
    "var": "tmp",
    "etc/mtab": "/proc/mounts",
    # Debian's OpenSSL looks for the certificates there, OpenWrt's in /etc/ssl.
    "usr/lib/ssl": "/etc/ssl",
    "etc/ssl/cert.pem": "certs/ca-certificates.crt",
}
FOLDERS = (
    *("dev", "etc/uci-defaults", "mnt", "overlay", "proc", "rom", "root", "sys", "tmp"),
    # OpenWrt's own packages have files in these.
    *("etc/hotplug.d/ntp", "usr/libexec/rpcd", "usr/share/acl.d"),
)
MANAGERS_FOLDERS = {"opkg": ("usr/lib/opkg/info",), "apk": ()}
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
NAMES = b"hosts: files dns\n"  # Debian's C library would ask a name server first; OpenWrt's never does
MODULE_ORDER = "etc/modules.d/router"

IGNORED = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/")


def packages(target: Target) -> tuple[str, ...]:
    """Debian's, which bring along what they depend on."""
    return (*PACKAGES, f"python{target.python}-minimal", f"libpython{target.python}-stdlib")


def members(debs: Iterable[Path]) -> dict[str, Member]:
    """All of the packages that a guest could want."""
    return unpack.read_all(debs, lambda path: not path.startswith(IGNORED))


def build(target: Target, found: Mapping[str, Member], linux: kernel.Kernel, folder: Path) -> None:
    """Make the tree as `folder`, which is not there yet, of the packages' members."""
    library = python.subset(target, found)
    files = _programs(target, found, library)
    files |= libraries(target, found, files.values(), EXTRA_LIBRARIES)
    sources = {path: one.data for path, one in library.items() if path.endswith(".py") and not one.target}
    bytecode = python.compiled(target.python, sources)
    certificates = sorted(
        path for path in found if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt")
    )
    data = {"etc/nsswitch.conf": NAMES, BUNDLE: b"".join(found[path].data for path in certificates)}
    loaded = kernel.order(linux, kernel.BOOT)
    modules = [name for name in kernel.order(linux, kernel.ROUTER) if name not in loaded]
    data[MODULE_ORDER] = "".join(f"{name}\n" for name in modules).encode()
    data |= {f"lib/modules/{linux.version}/{name}.ko": linux.module(name) for name in modules}

    for name in (*FOLDERS, *MANAGERS_FOLDERS[target.manager]):
        tree.make_folder(folder / name)
    for path, contents in files.items():
        tree.write(folder / path, contents, 0o755)
    for path, contents in data.items():
        tree.write(folder / path, contents)
    tree.share(bytecode, folder)
    links = {**LINKS, **{f"usr/bin/{name}": f"python{target.python}" for name in ("python", "python3")}}
    for path, to in [*links.items(), *((path, "/bin/busybox") for path in APPLETS)]:
        tree.link(folder / path, to)
    (folder / "tmp").chmod(0o1777)


def _programs(target: Target, found: Mapping[str, Member], library: Mapping[str, Member]) -> dict[str, bytes]:
    files = {place: program(target, found, source) for place, source in PROGRAMS.items()}
    files[python.binary(target)] = python.interpreter(program(target, found, python.binary(target)))
    return files | {path: one.data for path, one in library.items() if path.endswith(".so")}


def guest_libraries(target: Target, found: Mapping[str, Member]) -> set[str]:
    """Where the libraries are that every guest of this target has."""
    return set(
        libraries(target, found, _programs(target, found, python.subset(target, found)).values(), EXTRA_LIBRARIES)
    )


def libraries(
    target: Target, found: Mapping[str, Member], programs: Iterable[bytes], extra: Iterable[str] = ()
) -> dict[str, bytes]:
    """The loader, the libraries that the programs ask for, and what these ask for, by their place in the guest.

    All lie in /lib, where the C library looks without being told.
    """
    by_name: dict[str, str] = {}
    for path in found:
        folder, _, name = path.rpartition("/")
        if ".so" in name and folder.removeprefix("usr/").partition("/")[0].startswith("lib") and folder.count("/") <= 2:
            by_name.setdefault(name, path)
    place: dict[str, bytes] = {}
    wanted = [*extra, *(name for data in programs for name in elf.needed(data))]
    while wanted:
        name = wanted.pop()
        where = target.loader if name == posixpath.basename(target.loader) else f"lib/{name}"
        if where in place:
            continue
        member = unpack.resolve(dict(found), by_name[name]) if name in by_name else None
        if member is None:
            raise ForgeError(
                f"no package of {target.suite} for {target.architecture} that is at hand has the library {name}"
            )
        place[where] = member.data
        wanted += elf.needed(member.data)
    return place


def program(target: Target, found: Mapping[str, Member], path: str) -> bytes:
    """An executable of the packages; from trixie on all of them lie below /usr."""
    member = found.get(path) or found.get(f"usr/{path}")
    if member is None or not elf.is_elf(member.data):
        raise ForgeError(f"no package of {target.suite} that is at hand has the program /{path}")
    return member.data
