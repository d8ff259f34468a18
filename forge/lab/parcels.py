"""Packages that a firmware is built with, put in as OpenWrt's ImageBuilder does: opkg for another root, nothing starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def named(names: Sequence[str]) -> list[Path]:
    return [Path(name) for name in names]


def install(tree: Path, packages: Sequence[Path]) -> None:
    pass
