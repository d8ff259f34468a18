"""The version, as --version, the log and the status file tell it: the Makefile's PKG_VERSION.

In a package the Makefile has put a line with it in this file's place; here, in a checkout, it is read.
"""

from __future__ import annotations


def _of_checkout() -> str:
    try:
        with open(f"{__file__.rpartition('/src/')[0]}/Makefile", encoding="utf-8") as file:
            return next(line.partition(":=")[2].strip() for line in file if line.startswith("PKG_VERSION:="))
    except (OSError, StopIteration):
        return "unknown"


VERSION = _of_checkout()
