"""Checks the LuCI app's scripts and JSON files with eslint, by the rules that LuCI has its apps checked by.

Node.js comes with the Python packages for the linters. eslint and what it needs are installed by npm into the cache, at
the versions and hashes of requirements/eslint/package-lock.json, when that changes. Called by checks.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from forge.core import paths, proc

NEEDS = paths.ROOT / "requirements" / "eslint"
APP = paths.PACKAGES / "luci-app-mailrelay"
NPM = Path(sys.executable).with_name("npm")
NODE = Path(sys.executable).with_name("node")
TIMEOUT = 300.0
QUIET = {"NODE_DISABLE_COMPILE_CACHE": "1"}  # else it leaves a folder where temporary files are
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


def offered() -> bool:
    """Whether requirements/lint.txt has Node.js for this kind of machine."""
    return platform.machine() in ("x86_64", "aarch64")


def check(folder: Path = APP) -> proc.Result:
    """Run eslint on all that is in the folder; any finding makes the status 1. ForgeError if it cannot be had."""
    place = installed()
    config = shutil.copy(NEEDS / "eslint.config.mjs", place)  # beside the modules that it imports
    argv: list[proc.Arg] = [
        NODE,
        place / "node_modules/eslint/bin/eslint.js",
        "--max-warnings=0",
        "--config",
        config,
        ".",
    ]
    return proc.run(argv, cwd=folder, check=False, timeout=TIMEOUT, env=QUIET)


def installed() -> Path:
    """The folder that eslint is installed in."""
    lock = NEEDS / "package-lock.json"
    place = paths.cache("eslint") / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=paths.cache("eslint"), prefix="new-") as scratch:
            for file in (lock, NEEDS / "package.json"):
                shutil.copy(file, scratch)
            proc.run(
                [NPM, "ci", *OPTIONS],
                cwd=Path(scratch),
                timeout=TIMEOUT,
                env=QUIET,
                hint="eslint's packages come from npm's registry; ./inv lint brings Node.js itself",
            )
            with contextlib.suppress(OSError):  # another has been quicker
                Path(scratch).rename(place)
                Path(scratch).mkdir()
    return place
