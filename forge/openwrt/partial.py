"""A download on its way: the hidden file that it grows in, what it is a part of, and what can be wrong with one.

fetch.py fills it; nothing else looks at a file before it has its final name.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from forge.core import paths, progress
from forge.core.errors import ForgeError


class FetchError(ForgeError):
    """A file could not be had. The message names it, and what each server answered."""


class NotThere(FetchError):
    """Every server that was asked says that it has no such file."""


class Unreachable(FetchError):
    """No server answered at all."""


class WrongFile(FetchError):
    """What came is not what was expected: its length or hash is another one."""


class Part:
    """A download on its way: the hidden file, and beside it what it is a part of."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url, self.name = target, url, target.name
        self.file = target.with_name(f".{target.name}.part")
        self.facts = target.with_name(f".{target.name}.part.json")

    def size(self) -> int:
        try:
            return self.file.stat().st_size
        except FileNotFoundError:
            return 0

    def continuation(self) -> dict[str, str]:
        """The headers that ask for the rest, if the server has still the same file; none without a strong validator."""
        try:
            facts = json.loads(self.facts.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        if facts.get("url") != self.url or not facts.get("validator") or not self.size():
            return {}
        return {"Range": f"bytes={self.size()}-", "If-Range": facts["validator"]}

    def begin(self, etag: str, modified: str, start: int) -> None:
        validator = modified if etag.startswith("W/") or not etag else etag
        self.file.touch()
        if not start or not self.facts.exists():
            self.facts.write_text(json.dumps({"url": self.url, "validator": validator}))

    def copy(self, source: Path) -> None:
        """From a mirror that is a folder of this machine."""
        if not source.is_file():
            raise NotThere(f"there is no file {source}", hint="a mirror's folder has releases/ and snapshots/ in it")
        try:
            room(self.file, source.stat().st_size)
            shutil.copyfile(source, self.file)
        except OSError as error:
            raise disk_error(error, self.file) from error

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def finish(self) -> None:
        with self.file.open("rb") as file:
            os.fsync(file.fileno())
        self.file.replace(self.target)
        self.facts.unlink(missing_ok=True)


def room(file: Path, more: int) -> None:
    """Raise OSError unless so many more bytes fit on the disk that `file` is on."""
    free = shutil.disk_usage(file.parent).free
    if more > free:
        raise OSError(errno.ENOSPC, f"needs {progress.size(more)}, and {progress.size(free)} are free")


def disk_error(error: OSError, file: Path) -> ForgeError:
    """What the disk said, for people."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        more = f": {error.strerror}" if "needs" in (error.strerror or "") else ""
        return FetchError(
            f"the disk of {file.parent} is full{more}",
            hint=f"./inv cache.prune, or set {paths.CACHE_VARIABLE} to a folder on another disk",
        )
    return FetchError(f"{file}: {error.strerror or error}")
