"""Whether this machine can run what OpenWrt publishes, and how its SDK and ImageBuilder are started."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from forge.core.errors import MissingError
from forge.host import host
from forge.packages import makefile

MACHINES = ("x86_64", "amd64")
# What a machine in a company's network needs to reach a server at all.
NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")


def unfit(group: str) -> str:
    """Why this machine can't run them ("sdk" or "image": a group of forge/system-packages); empty if it can."""
    try:
        require(group)
    except MissingError as error:
        return error.message
    return ""


def require(group: str) -> None:
    """Raise MissingError, with what helps, where this machine can't run them."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        raise MissingError(
            f"OpenWrt's tools are for Linux on x86-64, and this is {platform.system()} on {platform.machine()}",
            hint="packages need no SDK (--builder mini); images can be made by a server (--via URL)",
        )
    host.require("image", group)


def started(home: Path, *, offline: bool = False, more: Mapping[str, str] | None = None) -> list[str]:
    """The words that start one of their programs: umask 022, nothing of the caller's environment but proxies."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if offline:  # opkg's wget, apk and git take what they have when the proxy is not there
        kept = {name: NOBODY for name in PASSED_ON if name.lower() in ("http_proxy", "https_proxy")}
    # A git that waits for a password, or for a server that went silent, waits for ever.
    git = {"GIT_TERMINAL_PROMPT": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "30"}
    # Not the Python of an activated virtual environment: theirs is to be the system's, with its setuptools.
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if Path(folder) != Path(sys.prefix, "bin"))
    return makefile.clean_environment(PATH=path, HOME=str(home), GIT_CONFIG_NOSYSTEM="1", **git, **kept, **(more or {}))
