"""The relay's own unit tests on other kinds of CPU, played by qemu-user: what this machine's kind hides shows there.

Debian's CPython and pytest run them, so this is about the relay's code and not about OpenWrt's Python: the guests of
tests/lab have that. checks.py makes a stage of each CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forge.core import paths, proc
from forge.host import debian_packages
from forge.lab import targets


@dataclass(frozen=True)
class Cpu:
    """`architecture` is Debian's; `program` qemu-user's; `files` those of the tests that run there."""

    name: str
    architecture: str
    program: str
    files: tuple[str, ...]


# As the lab's mipsel guests have them.
_LAB = targets.find("lab-mipsel")
PACKAGES = (
    *(f"python{_LAB.python}-minimal", f"libpython{_LAB.python}-stdlib"),
    *("python3-pytest", "python3-pytest-timeout", "python3-hypothesis", "python3-cryptography"),
)
# What makes bytes of numbers, or numbers of bytes.
NUMBERS = ("certificate", "counters", "interfaces", "settings", "smarthost", "spool")
# What computes, in one process: the sessions, headers, files and settings.
PURE = (
    *NUMBERS,
    *("client", "domains", "explain", "fair_queue", "headers", "limits", "log", "recipients", "reply_reader"),
    *("routing", "schema", "server", "server_data", "server_dialogues", "sevenbit", "troubles", "uci"),
)
# ramips is the first's kind. ath79 is big-endian, as the second; Debian has no big-endian MIPS any more.
CPUS = (
    Cpu("MIPS, 32 bits", "mipsel", "qemu-mipsel", PURE),
    Cpu("s390x, big-endian", "s390x", "qemu-s390x", NUMBERS),
)
# Of these files, what can't be asked of qemu-user and of Debian's older packages, by the start of its name.
NOT_THERE = (
    "certificate.py::test_the_facts_are_those_that_the_library_sees",  # asks a newer cryptography
    "headers.py::test_the_date_survives_a_broken_clock",  # a time_t of 64 bits, as musl's is
    "headers.py::test_no_input_takes_quadratic_time",  # times it
    "sevenbit.py::test_no_input_takes_quadratic_time",  # likewise
    "settings.py::test_loads_nothing_that_the_listener_must_not_hold",  # starts sys.executable
    "server.py::test_resident_modules_import_nothing_that_costs_memory",  # starts sys.executable
    "smarthost.py::TestConnecting::test_refused",  # qemu-user gives SO_ERROR by this machine's numbers
)
LEFT_OUT = (
    "left out on emulated CPUs: what starts programs by sys.executable, measures time or tries thousands of examples, "
    "and dates beyond 2038 (Debian's C library for mipsel counts 32 bits); tests/lab runs the whole relay on MIPS"
)


def pytest(cpu: Cpu) -> tuple[list[proc.Arg], dict[str, str]]:
    """The command line that runs its tests, and the environment."""
    tree = debian_packages.unpack(PACKAGES, suite=_LAB.suite, architecture=cpu.architecture)
    python = tree / "usr" / "bin" / f"python{_LAB.python}"
    files: list[Path] = [paths.TESTS / "relay" / f"test_{name}.py" for name in cpu.files]
    argv: list[proc.Arg] = [cpu.program, "-L", tree, python, "-m", "pytest", *files]
    argv += [f"--deselect=tests/relay/test_{name}" for name in NOT_THERE]
    argv += ["-p", "no:cacheprovider", "--hypothesis-profile=quick"]
    return argv, {"PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")}
