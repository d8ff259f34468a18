"""Our packages, packed as `./inv build` packs them."""

from __future__ import annotations

from pathlib import Path

from forge.core import paths
from forge.packages import minisdk, stage


def packed(name: str, folder: Path, directory: Path = paths.PACKAGES / "mailrelay") -> Path:
    with stage.staged(directory, [name]) as packages:
        [made] = [one.path for package in packages for one in minisdk.pack(package, folder, "ipk")]
    return made
