"""What this machine has of what the tasks need: the packages that ./inv brings, and those that are only unpacked.

Which task needs what, needs.py says; main.py, doctor.py, checks.py and whatever starts such a program ask here. A mail
server is never installed: Postfix, the counterpart in the demo, the tests and the bench, is fetched as a file and
unpacked by whoever uses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forge.core.errors import MissingError
from forge.core.needs import Needs, SystemPackage, stamped, system_packages
from forge.core.needs import command as command
from forge.host import debian_packages

POSTFIX = ("postfix", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")


def missing(groups: Iterable[str]) -> list[SystemPackage]:
    """The packages of these groups that are not there, each once."""
    wanted = set(groups)
    found = {one.name: one for one in system_packages() if one.group in wanted and not one.present()}
    return list(found.values())


@dataclass(frozen=True)
class Lacking:
    """What ./inv brings before a task: Debian packages, and sets of Python packages, by name."""

    system: list[str]
    python: list[str]

    def __str__(self) -> str:
        parts = [f"Debian's {', '.join(self.system)}"] if self.system else []
        parts += [f"the Python packages for {', '.join(self.python)}"] if self.python else []
        return "; ".join(parts)


def lacking(wanted: Needs) -> Lacking:
    """What is not here of what a task needs."""
    system = [one.name for one in missing(("base", *wanted.system))]
    return Lacking(system, [name for name in sorted(wanted.python) if not stamped(name)])


def require(*groups: str) -> None:
    """Raise MissingError with what to install, unless all packages of these groups are there."""
    if absent := missing(groups):
        wants = "; ".join(f"{package.name} ({package.why})" for package in absent)
        names = " ".join(package.name for package in absent)
        raise MissingError(
            f"system packages are missing: {wants}",
            hint=f"start the task through ./inv, or: apt-get install --no-install-recommends {names}",
        )


def postfix_debs() -> list[Path]:
    """The .debs of Postfix and its SASL parts, and of the libraries they need that this machine lacks."""
    return debian_packages.download(POSTFIX)
