"""The one place that knows where things are: in the checkout, and in the cache folder of whoever runs the task."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELAY = ROOT / "package" / "mailrelay" / "src"
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
INV = ROOT / "inv"
SYSTEM_PACKAGES = ROOT / "forge" / "system-packages"
REQUIREMENTS = ROOT / "requirements.txt"
PACKAGES = ROOT / "package"
DIST = ROOT / "dist"
FEEDS = ROOT / "feeds"
FILES = ROOT / "files"

CACHE_VARIABLE = "MAILRELAY_CACHE"
CONFIG_VARIABLE = "MAILRELAY_CONFIG"


def cache(*parts: str) -> Path:
    """A folder (made if need be) below the one cache folder: $MAILRELAY_CACHE, else the user's own cache.

    Whatever lies there can be deleted at any time, and is then made or downloaded again.
    """
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        base = Path(override).absolute()
    else:
        import platformdirs

        base = Path(platformdirs.user_cache_dir("mailrelay"))
    folder = base.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def requirements(name: str) -> Path:
    """The lock file of a set of Python packages (needs.py)."""
    return ROOT / "requirements" / f"{name}.txt"


def shown(path: Path) -> str:
    """A path as people are shown it: from the checkout's folder on, if it lies there."""
    try:
        return str(path.absolute().relative_to(ROOT))
    except ValueError:
        return str(path)


def config(*parts: str) -> Path:
    """A folder (made if need be, closed to others) below $MAILRELAY_CONFIG, else the user's own configuration.

    For what can't be made again: the keys that a feed is signed with.
    """
    override = os.environ.get(CONFIG_VARIABLE)
    if override:
        base = Path(override).absolute()
    else:
        import platformdirs

        base = Path(platformdirs.user_config_dir("mailrelay"))
    folder = base.joinpath(*parts)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
