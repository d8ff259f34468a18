"""pip under the machine's own settings of how a package index is reached, and under none of its others.

A pip.conf with `user = true`, PIP_TARGET or PIP_PREFIX would put packages elsewhere than a task wants them, or end pip
with an error; without the index, the proxy and the certificates of pip.conf nothing would be fetched at all.
"""

from __future__ import annotations

import ast
import os
import sys

from forge.core import proc

TIMEOUT = 60.0
REACH = {
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "keyring-provider"),
    *("cert", "client-cert", "proxy", "timeout", "retries", "cache-dir", "no-cache-dir"),
}
SECTIONS = ("global", "download", "install", ":env:")  # the later one counts


def command() -> list[str]:
    """The start of a command line: pip of the Python that runs this, its settings in the environment."""
    apart = [word for name in os.environ if name.startswith("PIP_") for word in ("-u", name)]
    return ["env", *apart, *_settings(), sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _settings() -> list[str]:
    argv = [sys.executable, "-m", "pip", "config", "list"]
    loud = {"PIP_QUIET": "0", "PIP_VERBOSE": "0"}  # it may be told to print nothing
    listed = proc.run(argv, env=loud, errors=False, timeout=TIMEOUT).output
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in found and option in REACH:
            found[section][option] = ast.literal_eval(value)
    merged = {option: value for section in SECTIONS for option, value in found[section].items()}
    words = [f"PIP_{option.upper().replace('-', '_')}={value}" for option, value in merged.items()]
    return [f"PIP_CONFIG_FILE={os.devnull}", *words]
