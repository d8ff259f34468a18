"""The relay's own unit tests on a 32-bit MIPS CPU, played by qemu-user: what a 64-bit machine hides shows there.

Debian's CPython and pytest for mipsel run them, so this is about the relay's code and not about OpenWrt's Python: the
guests of tests/lab have that. checks.py makes a stage of it.
"""

from __future__ import annotations

from pathlib import Path

from forge import debs, paths, proc
from forge.lab import targets

TARGET = targets.TARGETS["lab-mipsel"]
PACKAGES = (
    *(f"python{targets.PYTHON}-minimal", f"libpython{targets.PYTHON}-stdlib"),
    *("python3-pytest", "python3-pytest-timeout", "python3-hypothesis", "python3-cryptography"),
)
# What computes, in one process: the sessions, headers, files and settings.
PURE = (
    *("body", "certificate", "explain", "headers", "log", "settings", "spool", "status_day", "uci"),
    *("smtp_in", "smtp_in_data", "smtp_in_limits", "smtp_in_login", "smtp_out"),
)
LEFT_OUT = (
    "left out on MIPS: the relay's other tests start programs by sys.executable or time them, which qemu-user cannot "
    "give them, or try thousands of examples, which takes minutes there; tests/lab runs the whole relay on MIPS"
)


def pytest() -> tuple[list[proc.Arg], dict[str, str]]:
    """The command line that runs the tests of PURE, and its environment."""
    tree = debs.unpack(PACKAGES, suite=targets.SUITE, architecture=TARGET.architecture)
    python = tree / "usr" / "bin" / f"python{targets.PYTHON}"
    files: list[Path] = [paths.TESTS / "relay" / f"test_{name}.py" for name in PURE]
    argv: list[proc.Arg] = [TARGET.user_mode, "-L", tree, python, "-m", "pytest", *files]
    argv += ["-p", "no:cacheprovider", "--hypothesis-profile=quick"]
    return argv, {"PYTHONPATH": str(tree / "usr/lib/python3/dist-packages")}
