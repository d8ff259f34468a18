"""A router's package manager: opkg up to OpenWrt 24.10, apk from 25.12.

`of` finds out which one a router has. What an owner types is given as a line for the router's shell, so that the demo
can show it; what is asked is asked through the `run` that the caller hands in, over SSH or in a container. The demo,
the bench and tests/support/router.py call this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

from forge.core.errors import ForgeError


class Answer(Protocol):
    """What came of a line."""

    @property
    def status(self) -> int: ...

    @property
    def output(self) -> str: ...


Run = Callable[[str], Answer]


class PackageManager(ABC):
    """Either of them; `files` and `names` are plain words of a shell."""

    program: ClassVar[str]
    ending: ClassVar[str]  # of a package's file
    listing: ClassVar[str]  # what lists installed packages, each with its version
    shipped: ClassVar[str]  # appended to the name of settings that the owner has changed: those of the new version

    def __init__(self, run: Run) -> None:
        self._run = run

    # ---- lines for the router's shell ------------------------------------------------------------------------------

    @abstractmethod
    def install(self, *files: str) -> str:
        """Install package files, or upgrade to them."""

    @abstractmethod
    def fetch(self, *names: str) -> str:
        """Install packages of the feeds, whose lists are brought first."""

    @abstractmethod
    def remove(self, *names: str) -> str: ...

    # ---- questions -------------------------------------------------------------------------------------------------

    def installed(self, name: str = "") -> dict[str, str]:
        """The versions by name, of all that is installed or of that package; {} if it is not. ForgeError where there is
        no answer: nobody is to take all that is there for new."""
        found = dict(filter(None, map(self._version, self._lines(f"{self.listing} {name}"))))
        if not (found or name):
            raise ForgeError(f"the router's {self.program} names no package at all")
        return found

    @abstractmethod
    def _version(self, line: str) -> tuple[str, str] | None:
        """Name and version, of a line of `listing`."""

    @abstractmethod
    def files(self, name: str) -> set[str]:
        """The paths that an installed package has brought, without the manager's own notes."""

    def _lines(self, line: str) -> list[str]:
        done = self._run(line)
        if done.status:
            raise ForgeError(f"the router does not answer {line}: {done.output.strip() or f'status {done.status}'}")
        return done.output.splitlines()


class Opkg(PackageManager):
    program = "opkg"
    ending = "ipk"
    shipped = "-opkg"
    listing = "opkg list-installed"

    def install(self, *files: str) -> str:
        return f"opkg install {' '.join(files)}"

    def fetch(self, *names: str) -> str:
        return f"opkg update; opkg install {' '.join(names)}"

    def remove(self, *names: str) -> str:
        return f"opkg remove {' '.join(names)}"

    def _version(self, line: str) -> tuple[str, str] | None:
        name, dash, version = line.partition(" - ")
        return (name, version.partition(" - ")[0]) if dash else None

    def files(self, name: str) -> set[str]:
        return {line for line in self._lines(f"opkg files {name}") if line.startswith("/")}


class Apk(PackageManager):
    program = "apk"
    ending = "apk"
    shipped = ".apk-new"
    listing = "apk list -I"
    notes = "/lib/apk/packages/"

    def install(self, *files: str) -> str:
        # Loose files have no signature that the router knows, unless they were made with its feed's key.
        return f"apk add --allow-untrusted {' '.join(files)}"

    def fetch(self, *names: str) -> str:
        return f"apk update; apk add {' '.join(names)}"

    def remove(self, *names: str) -> str:
        return f"apk del {' '.join(names)}"

    def _version(self, line: str) -> tuple[str, str] | None:
        """Of `probe-1.0.0-r1 noarch {feeds/…/probe} (Apache-2.0) [installed]`."""
        label, _, more = line.partition(" ")
        name, *version = label.rsplit("-", 2)
        return (name, "-".join(version)) if "{" in more else None

    def files(self, name: str) -> set[str]:
        paths = {f"/{line}" for line in self._lines(f"apk info -L {name}") if line and not line.endswith(" contains:")}
        return {path for path in paths if not path.startswith(self.notes)}


KINDS = (Apk, Opkg)


def find(run: Run) -> PackageManager | None:
    """The one that a router has, if it has any."""
    there = run("for name in apk opkg; do command -v $name && break; done").output.rpartition("/")[2].strip()
    return next((kind(run) for kind in KINDS if kind.program == there), None)


def of(run: Run) -> PackageManager:
    """The one that a router has; ForgeError if it has none."""
    if found := find(run):
        return found
    raise ForgeError(
        "the router has neither apk nor opkg", hint="its firmware was built without: put the package into the firmware"
    )
