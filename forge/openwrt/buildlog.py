"""What OpenWrt's build tools say, kept in a file, and the one line in it that tells a person why a build failed.

The patterns are those of the tools themselves: the SDK's and the ImageBuilder's make, opkg, apk
(docs/dev/openwrt-facts.md, "What the build tools say"). sdk.py and imagebuilder.py write a Log and ask explain().
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why a build failed, and what to do about it."""

    what: str
    hint: str


# The first that is found counts: what causes others stands before them.
_CAUSES = (
    (r"No space left on device", "the disk is full", "./inv cache.prune, or set MAILRELAY_CACHE to another disk"),
    (
        r"Please build with umask 022",
        "the ImageBuilder was started with a closed umask",
        "this is a fault of ours: report it; `umask 022` before the task helps",
    ),
    (
        r"Can't locate (?P<a>\S+)\.pm in @INC",
        "Perl's module {a} is missing, without which there are no profiles",
        "apt-get install perl (perl-base alone is not enough)",
    ),
    (
        r"(?:path|directory|TOPDIR)[^\n]*(?:contains?|with) spaces|Build path .*space",
        "OpenWrt's tools can't work in a path with a space in it",
        "set MAILRELAY_CACHE to a folder with a plain path",
    ),
    (
        r'Profile "(?P<a>[^"]*)" does not exist!',
        "the ImageBuilder has no profile {a}",
        "./inv targets --match {a} finds the right name",
    ),
    (
        r"UNTRUSTED signature|BAD signature",
        "apk refuses a package list: nobody it trusts has signed it",
        "a mirror or a proxy that changes what it passes on? Try another with --mirror",
    ),
    (
        r"Signature check failed",
        "opkg refuses a package list: its signature is wrong",
        "a mirror or a proxy that changes what it passes on? Try another with --mirror",
    ),
    (
        r"check_data_file_clashes: Package (?P<a>\S+) wants to install file (?P<b>\S+)"
        r"[\s\S]{0,200}?already provided by package\s+\*?\s*(?P<c>\S+)",
        "{a} and {c} both have {b}",
        "leave one of them out: --packages=-{c}",
    ),
    (
        r"pkg_hash_check_unresolved: cannot find dependency (?P<a>\S+) for (?P<b>\S+)",
        "{b} needs {a}, which is in none of the package lists",
        "is the server (or --mirror) reachable, and complete for this release?",
    ),
    (
        r"(?m)^\s+(?P<a>[\w.+-]+) \(no such package\):\s*\n\s+required by: (?P<b>.+)$",
        "there is no package {a}, required by {b}",
        "a mistyped name in --packages, or a package list that could not be fetched",
    ),
    (
        r"unable to select packages:\s*\n\s+(?P<a>\S.*)\n\s+(?P<b>\S.*)",
        "apk finds no set of packages that fits: {a} {b}",
        "leave one of them out: --packages=-NAME",
    ),
    (
        r"Unknown package '(?P<a>[^']+)'",
        "there is no package {a}",
        "a mistyped name in --packages, or a package list that could not be fetched",
    ),
    (
        r"(?m)opkg_install_cmd: Cannot install package (?P<a>\S+?)\.?$",
        "opkg can't install {a}",
        "the log says why; is the server (or --mirror) reachable?",
    ),
    (
        r"Prerequisite check failed",
        "this machine lacks something that the ImageBuilder needs",
        "./inv doctor names what is missing; the log has the ImageBuilder's own check",
    ),
    (
        r"WARNING: Image file (?P<a>\S+) is too big: (?P<b>\d+) > (?P<c>\d+)",
        "the image {a} is too big for the device: {b} > {c} bytes; the ImageBuilder deleted it",
        "leave packages out (--no-luci, --packages=-NAME), or take a device with more flash",
    ),
    (
        r"(?:Failed to (?:download|send request|establish connection)|wget returned \d+|temporary error \(try again"
        r" later\)|network error \(check Internet)[^\n]*",
        "packages could not be fetched",
        "is the server reachable? --mirror names another one",
    ),
    (
        r"ERROR: package/(?P<a>\S+) failed to build",
        "{a} does not compile",
        "the log says why; `./inv build --builder mini` tells the same of a Makefile's fault, with its line",
    ),
)


def explain(output: str) -> Cause:
    """The cause of a failure, from the output; where nothing is known, make's last error line."""
    for pattern, what, hint in _CAUSES:
        found = re.search(pattern, output)
        if found:
            words = {name: value.strip() for name, value in found.groupdict("").items()}
            return Cause(what.format(**words), hint.format(**words))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.search(r"error|fail|\*\*\*|no such file|not found|cannot", line, re.IGNORECASE)
    ]
    plain = [line for line in errors if not re.match(r"make(\[\d+\])?:", line)]
    last = (plain or errors or lines or ["it gives no reason"])[-1]
    return Cause(last, "the log has all that was said")
