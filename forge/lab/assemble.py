"""Puts a firmware together: the tree from Debian's packages (made once for each target), upon it the stand-in, files/
and packages, then kernel, initrd, squashfs and manifest. Only firmware.py calls this, and keeps what comes of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forge.core import cli, hashes, paths, proc, transcript
from forge.lab import kernel, package_state, python, rootfs, unpack
from forge.lab import tree as trees
from forge.lab.targets import Target
from forge.site import overlay

# Kept beside the tree: it is no part of the root file system.
BOOT_FILES = ("kernel", "initrd")
TIMEOUT = 300.0  # seconds for mksquashfs


def has_base(target: Target, key: str) -> bool:
    """Whether base() would find the folder, with all in it as it was made."""
    return hashes.broken(_folder(target, key)) == []


def base(target: Target, archives: Sequence[Path], key: str) -> Path:
    """A folder with the tree `root` from Debian's packages, and with kernel and initrd; made once for each key."""
    folder = _folder(target, key)
    if not has_base(target, key):
        with hashes.making(folder) as scratch:
            _base(target, archives, scratch)
    os.utime(folder)
    return folder


def _folder(target: Target, key: str) -> Path:
    return paths.cache("lab", "base") / f"{target.stem}-{key}"


def _base(target: Target, archives: Sequence[Path], folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    image = next(path for path in archives if path.name.startswith("linux-image-"))
    static = next(path for path in archives if path.name.startswith(f"{rootfs.STATIC}_"))
    others = [path for path in archives if path not in (image, static)]
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(kernel.read, image)
        found = rootfs.members(others)
        linux = reading.result()
    rootfs.build(target, found, linux, folder / "root")
    (folder / "kernel").write_bytes(linux.image)
    (folder / "initrd").write_bytes(
        kernel.initrd(linux, rootfs.program(target, unpack.read_all([static], bool), "bin/busybox"))
    )


def firmware(
    target: Target,
    base: Path,
    archives: Sequence[Path],
    folder: Path,
    *,
    standin: Sequence[Path],
    shared: Sequence[tuple[str, Path]],
    files: Path,
    packages: Sequence[Path],
    disabled: Sequence[str] = (),
    facts: Mapping[str, Any],
) -> None:
    """Write kernel, initrd, rootfs.squashfs and manifest.json into `folder`; what is laid over later hides the rest.

    `standin` are the stand-in's folders, `shared` single files of the checkout with their places; `files` is the
    rendered overlay; the services that are `disabled` do not start; the manifest says `facts`, too.
    """
    with tempfile.TemporaryDirectory(prefix=".tree-", dir=folder.parent) as scratch:
        tree = Path(scratch, "root")
        # Files are shared with the base: whatever changes one puts a new file in its place.
        shutil.copytree(base / "root", tree, symlinks=True, copy_function=os.link)
        for layer in standin:
            lay_over(layer, tree, closed=False)
        for place, path in shared:
            trees.write(tree / place, path.read_bytes())
        lay_over(files, tree)
        enable_services(tree)
        python.add_bytecode(target.python, tree, "usr/lib/standin")
        package_state.list_installed(target, tree, archives)
        package_state.install(target, tree, packages)
        disable_services(tree, disabled)
        _squash(tree, folder / "rootfs.squashfs", overlay.TIME)
    for name in BOOT_FILES:
        os.link(base / name, folder / name)
    manifest = {**_manifest(target, archives, folder, packages), **facts, "disabled": list(disabled)}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    folder.chmod(0o700)  # a site may have put passwords in


def lay_over(source: Path, tree: Path, *, closed: bool = True) -> None:
    """Put the files of a folder upon a tree: 0755 what its owner may run, else 0644.

    `closed`: what is closed to all but its owner stays so. In a checkout that says something about the umask alone.
    """
    for where, folders, names in os.walk(source):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        place = tree / Path(where).relative_to(source)
        trees.make_folder(place)
        for name in [*names, *(name for name in folders if Path(where, name).is_symlink())]:
            path = Path(where, name)
            if path.is_symlink():
                trees.link(place / name, str(path.readlink()))
            else:
                mode = path.stat().st_mode
                private = closed and not mode & 0o044
                trees.write(place / name, path.read_bytes(), 0o755 if mode & 0o100 else 0o600 if private else 0o644)
        if closed and Path(where).stat().st_mode & 0o055 == 0:
            place.chmod(0o700)


def enable_services(tree: Path) -> None:
    """Link every init script into /etc/rc.d by its START and STOP, as OpenWrt's image builds do (rules.mk)."""
    for script in (tree / "etc/init.d").glob("*"):
        text = script.read_text()
        for letter, name in (("S", "START"), ("K", "STOP")):
            if found := re.search(rf"^{name}=(\d+)", text, re.MULTILINE):
                trees.link(tree / f"etc/rc.d/{letter}{found[1]}{script.name}", f"../init.d/{script.name}")


def disable_services(tree: Path, names: Sequence[str]) -> None:
    """Take the links of these services out of /etc/rc.d, as `service NAME disable` does."""
    there = sorted(path.name for path in (tree / "etc/init.d").iterdir())
    for name in names:
        cli.choice(name, there, "--disable")
        for path in (tree / "etc/rc.d").glob(f"[SK]*{name}"):
            if re.fullmatch(r"[SK]\d+" + re.escape(name), path.name):
                path.unlink()


def _squash(tree: Path, output: Path, time: int) -> None:
    options = "-all-root -noappend -no-progress -quiet -no-xattrs -comp zstd -Xcompression-level 6".split()
    times = ["-all-time", str(time), "-mkfs-time", str(time)]
    transcript.command("mksquashfs", output.name)
    proc.run(["mksquashfs", tree, output, *options, *times], timeout=TIMEOUT, on_line=transcript.detail)


def _manifest(target: Target, archives: Sequence[Path], folder: Path, packages: Sequence[Path]) -> dict[str, Any]:
    debian = {}
    for path in sorted(archives):
        name, version, _ = path.name.split("_", 2)
        debian[name] = {"version": version.replace("%3a", ":"), "sha256": hashes.digest(path)}
    linux = next(name for name in debian if name.startswith("linux-image-"))
    return {
        "target": target.name,
        "release": target.release,
        "architecture": target.architecture,
        "kernel": linux.removeprefix("linux-image-"),
        "append": target.command_line,
        "debian": debian,
        "packages": {path.name: hashes.digest(path) for path in packages},
        "files": {name: hashes.digest(folder / name) for name in (*BOOT_FILES, "rootfs.squashfs")},
    }
