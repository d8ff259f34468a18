"""Configs for the Postfix engine's tests, and a machine that sends."""

from __future__ import annotations

import os
import subprocess
import sys

from forge.core import paths
from forge.servers import postfix

PACKAGE = paths.ROOT / "package/mailrelay/root"
# Spaces, quotes, an expansion, a backslash, comment marks, a brace, a colon: all that a config can hold on a line.
PASSWORD = "p'a\"ss $myhostname ${x} \\n {y} #;= a:b"


def export(data: bytes) -> str:
    """What `uci export` prints."""
    if str(paths.RELAY) not in sys.path:
        sys.path.insert(0, str(paths.RELAY))
    from mailrelay.config import uci

    return uci.export(uci.parse(data))


def scripts(settings: str, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Postfix engine in busybox ash, with the settings as its scripts read them."""
    script = (
        f"LIB={PACKAGE}/usr/lib/mailrelay\n. $LIB/postfix-facts.sh\nuci() {{ cat; }}\n"
        f'awk() {{ busybox awk "$@"; }}\nsettings_lines /x/y | {command}'
    )
    return subprocess.run(
        ["busybox", "sh", "-c", script],
        input=export(settings.encode(errors="surrogateescape")),
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )


def quoted(value: object) -> str:
    return "'" + str(value).replace("'", "'\\''") + "'"


def section(kind: str, name: str, /, **options: object) -> str:
    lines = [f"config {kind} {name}"]
    for option, value in options.items():
        for entry in value if isinstance(value, list) else [value]:
            lines.append(f"\t{'list' if isinstance(value, list) else 'option'} {option} {quoted(entry)}")
    return "\n".join(lines) + "\n\n"


def main(**options: object) -> str:
    return section("mailrelay", "main", **{"network": ["lan"], "hostname": "router.example.org", **options})


def at(provider: postfix.Provider, name: str = "p", **options: object) -> str:
    facts = {
        "host": "localhost",
        "port": provider.starttls_port,
        "ca_file": "/etc/ca.pem",
        "username": provider.username,
        "password": provider.password,
    }
    return section("smarthost", name, **{**facts, **options})
