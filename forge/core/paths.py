"""The one place that knows where things are: in the checkout, and in the cache folder of whoever runs the task.

The rooms and the tests ask here; only what starts before this can be imported (__main__.py, front.py) finds the
checkout by itself. ./inv reads this before anything is installed: what is not of the standard library is imported only
when a folder of the user's is asked for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forge.core.errors import MachineError

ROOT = Path(__file__).resolve().parents[2]
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
# The feed's keys, for a machine that keeps none: each is a key's text, or the path of a file (keys.py).
FEED_KEY_VARIABLE = "MAILRELAY_FEED_KEY"  # usign's, for opkg
APK_KEY_VARIABLE = "MAILRELAY_APK_KEY"


def cache(*parts: str) -> Path:
    """A folder (made if need be) below the one cache folder: $MAILRELAY_CACHE, else the user's own cache.

    Whatever lies there can be deleted at any time, and is then made or downloaded again.
    """
    return _own(CACHE_VARIABLE, "user_cache_dir", parts, 0o777)


def config(*parts: str) -> Path:
    """A folder (made if need be, closed to others) below $MAILRELAY_CONFIG, else the user's own configuration.

    For what can't be made again: the keys that a feed is signed with.
    """
    return _own(CONFIG_VARIABLE, "user_config_dir", parts, 0o700)


def _own(variable: str, usual: str, parts: tuple[str, ...], mode: int) -> Path:
    """Where it cannot be made, as in the home of a system user, the variable helps."""
    base = os.environ.get(variable)
    if not base:
        import platformdirs

        base = getattr(platformdirs, usual)("mailrelay")
    folder = Path(base).absolute().joinpath(*parts)
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        hint = f"set {variable} to a folder that you may write to"
        raise MachineError(f"{folder} cannot be used: {error.strerror}", hint=hint) from None
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to, which becomes `path` once it is whole, and is gone if that failed."""
    partial = path.with_name(f".{path.name}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def making(folder: Path, *, mode: int = 0o755) -> Iterator[Path]:
    """A hidden folder beside `folder`, which takes its place as a whole at the end, and is gone if that failed."""
    import shutil
    import tempfile

    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        yield scratch
        scratch.chmod(mode)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
