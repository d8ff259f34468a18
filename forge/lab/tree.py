"""Files, links and folders of a root file system that is being made: with the modes they have on a router, whatever the
umask of whoever builds it. Everything in lab/ that puts something into a tree does it by these.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """A folder, and those above it that are not there yet: 0755, as on OpenWrt."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir()
        path.chmod(0o755)


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """A file that is a new one, whatever was there: trees share files with each other."""
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def link(path: Path, target: str) -> None:
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def share(source: Path, tree: Path) -> None:
    """Put the files of a folder into a tree, as the same files."""
    for where, _, names in os.walk(source):
        place = tree / Path(where).relative_to(source)
        make_folder(place)
        for name in names:
            os.link(Path(where, name), place / name)
