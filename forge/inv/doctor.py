"""The task `doctor`: which task can run now, what the next start of each would bring, and what this machine is.

./inv brings what is missing by itself; this says it beforehand. Only where base, build or lab cannot run now is it an
error (MissingError).
"""

from __future__ import annotations

import os
import platform
import shlex
import sys

from forge.core import cli, console, needs, paths
from forge.core.commandline import parse
from forge.core.errors import MissingError
from forge.host import debian_packages, host, pythons

ESSENTIAL = ("base", "build", "lab", "mips")
# A line for each way in which a task wants something of its own.
LINES = (
    *("demo", "demo --local", "build", "build --target ramips", "image --target lab-mipsel", "image --target ramips"),
    *("qemu", "qemu --target lab-arm64", "feed", "bench", "lint", "test"),
)


def run() -> None:
    """Show it all; raise MissingError where an essential group of packages is not there."""
    tasks = [_task(line) for line in LINES] + [_task(f"test --only {area}") for area in needs.AREAS]
    found = pythons.find()
    machine = _machine()
    console.result(
        {
            "machine": machine,
            "tasks": tasks,
            "system_packages": [{**vars(one), "present": one.present()} for one in needs.system_packages()],
            "pythons": [{"version": one.version, "path": str(one.path), "origin": one.origin} for one in found],
        }
    )
    console.title("This machine")
    console.table(("what", "state"), list(machine.items()))
    console.say()
    console.title("The tasks")
    rows = [(str(one["task"]), "yes" if one["ready"] else "not yet", str(one["brings"])) for one in tasks]
    console.table(("./inv …", "can run now", "the next start brings"), rows)
    console.say()
    console.title("Pythons for the relay's tests")
    console.table(("Python", "where"), [(one.version, f"{one.path} ({one.origin})") for one in found])
    for minor in pythons.absent(found):
        console.note(f"3.{minor} is not at hand; the tests take it from Debian's packages where it has one")
    console.say()
    lacking = host.missing(ESSENTIAL)
    if lacking:
        names = [one.name for one in lacking]
        groups = dict.fromkeys("lab" if one.group == "mips" else one.group for one in lacking)
        raise MissingError(
            f"without {', '.join(names)} there is no {' and no '.join(groups)}",
            hint=f"./inv demo brings them, or: apt-get install --no-install-recommends {' '.join(names)}",
        )
    console.good("Nothing that matters is missing. Next: ./inv demo, ./inv test")


def _machine() -> dict[str, str]:
    system = debian_packages.release().get("PRETTY_NAME", "unknown system")
    sudo = ", sudo" if host.command("sudo") else ""
    return {
        "system": f"{system}, {platform.machine()}, {os.cpu_count()} CPUs",
        "user": "root" if os.geteuid() == 0 else f"uid {os.geteuid()}{sudo}",
        "Python": f"{platform.python_version()} ({sys.executable})",
        "cache folder": str(paths.cache()),
    }


def _task(line: str) -> dict[str, object]:
    (call,) = parse(shlex.split(line), cli.COMMANDS).calls
    lacking = host.lacking(call.needs())
    return {"task": line, "ready": not str(lacking), **vars(lacking), "brings": str(lacking)}
