"""The one version of everything here, PKG_VERSION of package/mailrelay/Makefile, and the files that repeat it.

The relay has it from its Makefile at build; LuCI's app and the Arduino library are built by others from files of their
own.
"""

from __future__ import annotations

import re

from forge.core import paths

LUCI = paths.PACKAGES / "luci-app-mailrelay" / "Makefile"
LIBRARY = paths.ROOT / "examples/arduino/MailRelay/library.properties"


def product() -> tuple[str, str]:
    """Return version and release of the relay's package: "1.0.0" and "1"."""
    text = (paths.PACKAGES / "mailrelay" / "Makefile").read_text(encoding="utf-8")
    found = dict(re.findall(r"(?m)^(PKG_VERSION|PKG_RELEASE):=(\S+)", text))
    return found["PKG_VERSION"], found["PKG_RELEASE"]


def luci(text: str) -> str:
    return re.sub(r"(?m)^PKG_VERSION:=.*$", f"PKG_VERSION:={product()[0]}", text)


def library(text: str) -> str:
    return re.sub(r"(?m)^version=.*$", f"version={product()[0]}", text)
