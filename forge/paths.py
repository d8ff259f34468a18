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

CACHE_VARIABLE = "MAILRELAY_CACHE"


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
