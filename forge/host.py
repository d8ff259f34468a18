"""What this machine has to have for the tasks: the packages that ./inv brings, and those that are only unpacked.

The list itself is forge/system-packages, which ./inv reads as well. A mail server is never installed: Postfix, the
counterpart in the demo, the tests and the bench, is fetched as a file and unpacked by whoever uses it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from forge import console, debs, paths
from forge.errors import MissingError

ON_DEMAND = {"image", "sdk"}  # groups that only builds with OpenWrt's own tools need
POSTFIX = ("postfix", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")


@dataclass(frozen=True)
class SystemPackage:
    """A line of forge/system-packages: `group` needs `name`, which is there if `probe` is: a command, or a file."""

    group: str
    name: str
    probe: str
    why: str

    def present(self) -> bool:
        # What starts with a colon is Python itself, and this runs; what starts with a slash is a file.
        if self.probe.startswith("/"):
            return Path(self.probe).exists()
        return self.probe.startswith(":") or command(self.probe) is not None


def command(name: str) -> Path | None:
    """Where a program is, the folders of a system administrator's programs included."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    return Path(found) if found else None


def system_packages() -> list[SystemPackage]:
    lines = paths.SYSTEM_PACKAGES.read_text().splitlines()
    return [SystemPackage(*line.split(maxsplit=3)) for line in lines if line and not line.startswith("#")]


def require(*groups: str) -> None:
    """Raises MissingError with what to install, unless all packages of these groups are there."""
    missing = [package for package in system_packages() if package.group in groups and not package.present()]
    if missing:
        wants = "; ".join(f"{package.name} ({package.why})" for package in missing)
        names = " ".join(package.name for package in missing)
        raise MissingError(
            f"system packages are missing: {wants}",
            hint=f"start the task through ./inv, or: apt-get install --no-install-recommends {names}",
        )


def postfix_debs() -> list[Path]:
    """The .debs of Postfix and its SASL parts, and of the libraries they need that this machine lacks."""
    return debs.download(POSTFIX)


def _state(package: SystemPackage) -> str:
    return "ok" if package.present() else "not here" if package.group in ON_DEMAND else "FAIL missing"


def doctor() -> None:
    """Shows what is here, then raises MissingError if anything is not."""
    from forge import interpreters

    console.title("This machine")
    release = debs.release().get("PRETTY_NAME", "unknown system")
    console.table(
        ("what", "state"),
        [
            ("system", f"{release}, {platform.machine()}, {os.cpu_count()} CPUs"),
            ("user", "root" if os.geteuid() == 0 else f"uid {os.geteuid()}" + (", sudo" if command("sudo") else "")),
            ("Python", f"{platform.python_version()} ({sys.executable})"),
            ("cache folder", str(paths.cache())),
        ],
    )
    console.say()
    console.title("System packages")
    packages = system_packages()
    console.table(
        ("for", "package", "state", "why"),
        [(p.group, p.name, _state(p), p.why) for p in packages],
    )
    console.say()
    console.title("Pythons for the relay's tests")
    found = interpreters.find()
    console.table(("Python", "where"), [(one.version, f"{one.path} ({one.origin})") for one in found])
    for minor in interpreters.absent(found):
        console.note(f"3.{minor} is not at hand")
    console.say()
    if any(package.group in ON_DEMAND and not package.present() for package in packages):
        console.note("what is missing for image and sdk, ./inv brings when it is asked for OpenWrt's own tools")
    require(*{package.group for package in packages} - ON_DEMAND)
    console.good("Nothing is missing. Next: ./inv demo, ./inv test")
