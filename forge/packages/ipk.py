"""Packs a staged package as .ipk, opkg's format up to OpenWrt 24.10, byte for byte as OpenWrt's build system does.

An ipk is a gzipped tar of three members; GNU tar and gzip write it, as they do there. ipk_read.py reads them again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from forge.core import paths, proc
from forge.packages import stage
from forge.packages.ipk_read import inspect as inspect
from forge.packages.makefile import clean_environment
from forge.packages.package import Package

RELEASES = ("23.05", "24.10")  # whose conventions differ
TIMEOUT = 300.0

_FUNCTIONS = """\
[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. ${IPKG_INSTROOT}/lib/functions.sh
"""
_POSTINST = f'#!/bin/sh\n[ "${{IPKG_NO_SCRIPT}}" = "1" ] && exit 0\n{_FUNCTIONS}default_postinst $0 $@\n'
_PRERM = f"#!/bin/sh\n{_FUNCTIONS}default_prerm $0 $@\n"


def file_name(package: Package, release: str = "24.10") -> str:
    return f"{package.name}_{_version(package, release)}_{package.architecture}.ipk"


def pack(package: Package, folder: Path, release: str = "24.10") -> list[Path]:
    output = folder / file_name(package, release)
    with stage.workspace() as top:
        control = top / "control"
        control.mkdir(mode=0o755)
        control.chmod(0o755)
        data = _tar(package.root, top / "data.tar", package.epoch)
        unpacked = data.stat().st_size
        data = _gzip(data)
        # 24.10 counts the bytes of the tar; before, it is those of the compressed one.
        size = unpacked if release == "24.10" else data.stat().st_size
        for name, (text, mode) in control_files(package, size, release).items():
            path = control / name
            path.write_text(text, encoding="utf-8", newline="")
            path.chmod(mode)
        _gzip(_tar(control, top / "control.tar", package.epoch))
        (top / "debian-binary").write_text("2.0\n", encoding="ascii")
        members = ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]
        for name in members:
            (top / name).chmod(0o644)
        whole = _gzip(_tar(top, top / "ipk", package.epoch, members))
        with paths.replacing(output) as partial:
            shutil.copyfile(whole, partial)
    return [output]


def control_files(package: Package, installed_size: int, release: str = "24.10") -> dict[str, tuple[str, int]]:
    """The files of control.tar.gz by name, each with its mode."""
    files = {"control": (_control(package, installed_size, release), 0o644)}
    shipped = conffiles(package)
    if shipped:
        files["conffiles"] = ("".join(f"{path}\n" for path in shipped), 0o644)
    # opkg runs these two, which do the rest (users, uci-defaults, the service) and run the package's own at their turn.
    files["postinst"] = (_POSTINST, 0o755)
    files["prerm"] = (_PRERM, 0o755)
    for name, text in package.scripts.items():
        files[f"{name}-pkg" if name in files else name] = (text, 0o755)
    return files


def conffiles(package: Package) -> list[str]:
    """The files among the conffiles that the package ships, those in a directory among them, in byte order."""
    found = set()
    for entry in package.conffiles:
        path = package.root / entry.strip("/")
        if path.is_symlink():
            continue
        if path.is_file():
            found.add(f"/{path.relative_to(package.root)}")
        for folder, _, names in os.walk(path):
            inside = [Path(folder, name) for name in names]
            found |= {f"/{one.relative_to(package.root)}" for one in inside if one.is_file() and not one.is_symlink()}
    return sorted(found, key=os.fsencode)


def _version(package: Package, release: str) -> str:
    return f"{package.version}-{package.release}" if release == "23.05" else package.full_version


def _control(package: Package, installed_size: int, release: str) -> str:
    provides = [name.removeprefix("@") for name in package.provides]
    fields = {
        "Package": package.name,
        "Version": _version(package, release),
        "Depends": ", ".join(package.depends),
        "Conflicts": ", ".join(package.conflicts),
        "Provides": ", ".join(name for name in provides if name != package.name),
        "Alternatives": ", ".join(package.alternatives),
        "Source": package.source,
        "SourceName": package.name if release == "23.05" else package.sourcename,
        "License": package.license,
        "LicenseFiles": " ".join(package.license_files),
        "Section": package.section,
        "Require-User": package.userid,
        "SourceDateEpoch": str(package.epoch),
        "URL": "" if release == "23.05" else package.url,
        "Maintainer": package.maintainer,
        "Architecture": package.architecture,
        "Installed-Size": str(installed_size),
        "Description": package.description,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def _tar(folder: Path, output: Path, epoch: int, members: Sequence[str] = (".",)) -> Path:
    words = ["--format=gnu", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", f"--mtime=@{epoch}"]
    argv = [*clean_environment(), "tar", *words, f"--directory={folder}", f"--file={output}", "--create", *members]
    proc.run(argv, timeout=TIMEOUT)
    return output


def _gzip(path: Path) -> Path:
    proc.run([*clean_environment(), "gzip", "--no-name", path], timeout=TIMEOUT)
    return path.with_name(f"{path.name}.gz")
