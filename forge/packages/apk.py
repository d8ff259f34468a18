"""Packages and the index for apk, the package manager of OpenWrt 25.12 and later: as OpenWrt's own build makes them.

pack() makes the .apk of a staged package, as include/package-pack.mk and `apk mkpkg` do there, and unsigned as there.
sign() adds a signature, as `apk adbsign` does, since a package may reach a router as a loose file. index() makes the
packages.adb of a feed, as `apk mkndx` does; inspect() lists a package. The bytes themselves are apk_archive.py's and
adb.py's. feed.py and the tasks call this.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from forge.core import paths
from forge.packages import apk_archive, keys
from forge.packages.adb import adb, signatures
from forge.packages.adb.schema import INDEX, INDEX_SCHEMA, INFO, PACKAGE
from forge.packages.apk_archive import ApkError, Member
from forge.packages.package import Contents, Entry, Package

META = "lib/apk/packages"  # where OpenWrt keeps, as files, what apk has no field for
DEFAULT_VARIANT_PRIORITY = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*", re.ASCII)

# OpenWrt's wrappers around a package's own scripts.
GUARD = """\
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
export root="${IPKG_INSTROOT}"
"""
POST_INSTALL = '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n' + GUARD
SHEBANG = "#!/bin/sh\n"
UPGRADE = SHEBANG + "export PKG_UPGRADE=1\n"


# Packages


def file_name(package: Package, release: str = "") -> str:
    """Return what every OpenWrt calls the file; apk looks for it under this name, beside the index."""
    return f"{package.name}-{package.full_version}.apk"


def pack(package: Package, folder: Path, release: str = "") -> list[Path]:
    tree = scan(package.root)
    members = [*tree, *_meta(package, tree)]
    content = apk_archive.encode(_info(package), members, _scripts(package), package.epoch)
    output = folder / file_name(package)
    _write(output, content)
    return [output]


def sign(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Sign a package's file, in place and at once, unless this key has signed it already."""
    file = adb.decode(path.read_bytes())
    if not signatures.verify(file, key.public_key()):
        _write(path, signatures.sign(file, key).encode())


def unsigned(content: bytes) -> bytes:
    """A package without its signatures: what the same Makefile gives, whoever has signed it."""
    file = adb.decode(content)
    return dataclasses.replace(file, signatures=()).encode() if file.signatures else content


def _write(path: Path, content: bytes) -> None:
    with paths.replacing(path) as partial:
        partial.write_bytes(content)


def inspect(path: Path, key: ec.EllipticCurvePublicKey | None = None) -> Contents:
    """What a package says and holds; every hash in it has been checked. ApkError if it is no good package.

    `key` is the one that this machine signs with, if it has one: its signature is known by name, and has to be right.
    """
    key = key or keys.known_apk()
    try:
        file = adb.decode(path.read_bytes())
        archive = apk_archive.archive(file)
    except adb.AdbError as error:
        raise ApkError(f"{path}: {error.message}", hint=error.hint) from None
    meta = f"{META}/{archive.info['name']}"
    conffiles = [one.content for one in archive.members if one.path == f"{meta}.conffiles"]
    signed_by = [_signature(file, one, key) for one in file.signatures]
    return Contents(
        format="apk",
        control=[(name, _shown(archive.info[name])) for name, _ in INFO.fields if name in archive.info],
        scripts=archive.scripts,
        conffiles=b"".join(conffiles).decode(errors="replace").split(),
        files=[
            Entry(
                path=f"/{one.path}",
                kind=one.kind,
                mode=one.mode,
                owner=one.owner,
                size=len(one.content),
                target=one.content.decode(errors="replace") if one.kind == "link" else "",
            )
            for one in archive.members
        ],
        faults=[f"/{one.path}: {fault}" for one in archive.members for fault in _suspicions(one)]
        + [f"the signature {name}" for name, good in signed_by if not good],
        signatures=[name for name, _ in signed_by],
    )


def _signature(file: adb.File, signature: bytes, key: ec.EllipticCurvePublicKey | None) -> tuple[str, bool]:
    """By which key, in words, and whether it may be right: nobody here has another key than ours to tell by."""
    who = adb.signer(signature)
    if key is None or who != signatures.key_id(key):
        return f"by the key {who.hex()}, which is not this machine's feed key", True
    good = signatures.is_signature(file, signature, key)
    return f"by the key {who.hex()}, this machine's feed key" + ("" if good else ", is wrong"), good


def _suspicions(member: Member) -> list[str]:
    faults = []
    if member.kind != "link" and member.mode & 0o6002:
        faults.append(f"its mode is {member.mode:04o}")
    if member.owner != "root:root":
        faults.append(f"it belongs to {member.owner}")
    return faults


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def _info(package: Package) -> dict[str, Any]:
    if not _NAME.fullmatch(package.name):
        raise ApkError(f"apk takes no package of the name {package.name!r}", hint="use letters, digits, and +._-")
    if not adb.is_version(package.full_version):
        raise ApkError(
            f"{package.name}: apk does not take {package.full_version!r} for a version",
            hint="write PKG_VERSION like 1.2.3, and PKG_RELEASE as a number",
        )
    info: dict[str, Any] = {
        "name": package.name,
        "version": package.full_version,
        "description": " ".join(package.description.split()),
        "arch": "noarch" if package.architecture == "all" else package.architecture,
        "license": package.license,
        "origin": package.source,
        "maintainer": package.maintainer,
        "url": package.url,
        # A Makefile's EXTRA_DEPENDS says "ssl (>= 3.0)".
        "depends": [re.sub(r"[() ]", "", one) for one in package.depends],
        "provides": [f"{package.name}-any", *_provides(package)],
    }
    if package.default_variant:
        info["provider-priority"] = DEFAULT_VARIANT_PRIORITY
    return info


def _provides(package: Package) -> list[str]:
    """The names that the package also stands for. With its version, apk installs no other package that provides the
    same name beside it; an "@" in the Makefile asks for the name alone, which many can provide."""
    names = [one for one in package.provides if one.removeprefix("@") != package.name]
    return [one[1:] if one.startswith("@") else f"{one}={package.full_version}" for one in names]


def scan(root: Path) -> list[Member]:
    """The members of a tree on disk, all of them root's. ApkError for what is neither file, directory nor link."""
    members = [Member("", "directory", 0o755)]
    for path in sorted(root.rglob("*")):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            members.append(Member(name, "directory", mode))
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(os.fsencode(path))  # noqa: PTH115 (a Path would tidy it)
            members.append(Member(name, "link", mode, target))
        elif stat.S_ISREG(status.st_mode):
            members.append(Member(name, "file", mode, path.read_bytes()))
        else:
            raise ApkError(f"/{name} is a device, a pipe or a socket", hint="make it at run time, on the router")
    return members


def _meta(package: Package, tree: Sequence[Member]) -> list[Member]:
    """The files in /lib/apk/packages that OpenWrt's scripts on the router read."""
    held = {f"/{one.path}": one for one in tree if one.kind != "directory"}
    files: dict[str, list[str]] = {}
    if package.userid:
        files["rusers"] = [package.userid]
    if package.alternatives:
        files["alternatives"] = [" ".join(package.alternatives)]
    own = [f"/{META}/{package.name}.{name}" for name in files]
    files["list"] = sorted([*held, *own], key=lambda path: path.encode(errors="surrogateescape"))
    if package.conffiles:
        files["conffiles"] = package.conffiles
        shipped = [(one, hashlib.sha256(held[one].content)) for one in package.conffiles if one in held]
        files["conffiles_static"] = [f"{one} {digest.hexdigest()}" for one, digest in shipped]
    return [
        Member(f"{META}/{package.name}.{name}", "file", 0o644, _lines(lines)) for name, lines in files.items() if lines
    ]


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")


def _scripts(package: Package) -> dict[str, str]:
    """apk's scripts: the package's own ones in OpenWrt's wrappers, and the same again for an upgrade."""
    own = package.scripts
    name = f'export pkgname="{package.name}"\n'
    install = POST_INSTALL + name + "add_group_and_user\ndefault_postinst\n" + _body(own.get("postinst", ""))
    scripts = {
        "post-install": SHEBANG + install,
        "pre-deinstall": SHEBANG + GUARD + name + "default_prerm\n" + _body(own.get("prerm", "")),
        "post-upgrade": UPGRADE + install,
    }
    if "preinst" in own:
        scripts["pre-install"] = own["preinst"]
        scripts["pre-upgrade"] = UPGRADE + _body(own["preinst"])
    if "postrm" in own:
        scripts["post-deinstall"] = own["postrm"].lstrip()
    return scripts


def _body(script: str) -> str:
    return "".join(line for line in script.splitlines(keepends=True) if not line.lstrip().startswith("#!"))


# The index


def index(packages: Sequence[Path], key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bytes of packages.adb, signed: what apk has to know of each package, and the hash that it has to have."""
    writer = adb.Writer()
    words = dict(_indexed(writer, path) for path in sorted(packages, key=lambda path: path.name))
    if len(words) < len(packages):
        raise ApkError("two of the feed's packages have the same name", hint="leave the newer one alone")
    root = writer.object({INDEX.slot("packages"): writer.array([words[name] for name in sorted(words)])})
    return signatures.sign(adb.File(INDEX_SCHEMA, bytes(writer.finish(root))), key).encode()


def read_index(content: bytes, key: ec.EllipticCurvePublicKey | None = None) -> list[dict[str, Any]]:
    """The packages of an index, by the names of adb.schema.INFO; with `key`, AdbError unless it signed the index."""
    file = adb.decode(content)
    if file.schema != INDEX_SCHEMA:
        raise adb.AdbError("it is no index of packages")
    if key is not None and not signatures.verify(file, key):
        raise adb.AdbError("the index is not signed with this key, or was changed since")
    packages: list[dict[str, Any]] = adb.read(file.body, INDEX).get("packages", [])
    return packages


def _indexed(writer: adb.Writer, path: Path) -> tuple[str, int]:
    """A package's name, and the word for its part of the index."""
    inspect(path)  # nothing damaged gets into an index
    content = path.read_bytes()
    body = adb.decode(content).body
    info: dict[str, Any] = adb.read(body, PACKAGE)["info"]
    if path.name != f"{info['name']}-{info['version']}.apk":
        raise ApkError(
            f"{path}: it holds {info['name']} {info['version']}",
            hint=f"apk looks for it under the name {info['name']}-{info['version']}.apk",
        )
    # The unique id is written and then replaced, as `apk mkndx` does it: its bytes stay in the file, unused.
    slots = writer.slots(INFO, info)
    slots[INFO.slot("file-size")] = writer.number(len(content))
    slots[INFO.slot("hashes")] = writer.blob(hashlib.sha256(body).digest())
    return info["name"], writer.object(slots)
