"""The Makefiles are what OpenWrt's packages feed takes; what its CI runs tells one version from another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forge.core import choices, paths
from forge.inv import release
from forge.packages import stage

LICENSE = "Apache-2.0"
MAKEFILES = sorted(paths.PACKAGES.glob("*/Makefile"))


@pytest.mark.parametrize("makefile", MAKEFILES, ids=lambda path: path.parent.name)
def test_a_makefile_says_what_the_feed_asks_for(makefile: Path) -> None:
    text = makefile.read_text()
    assert text.startswith(f"# SPDX-License-Identifier: {LICENSE}\n")
    assert not re.search(r"(?m)^(define|\$\(eval|\$\(call).*\$\(PKG_NAME\)", text)
    with stage.staged(makefile.parent, epoch=1) as packages:
        for package in packages:
            if package.name.startswith("luci-i18n-"):
                continue  # luci.mk's own, which says no more
            assert package.license == LICENSE and package.release == "1"
            assert re.fullmatch(r"https://\S+", package.url), package.name
            assert re.fullmatch(r"[\w ]+ <[^<> ]+@[^<> ]+>", package.maintainer), package.name


def test_the_feeds_ci_finds_the_version(tmp_path: Path) -> None:
    program = tmp_path / "mailrelay"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {paths.RELAY} "$@"\n')
    program.chmod(0o755)
    for version, status in ((release.current(), 0), ("0.0.1", 1)):
        for name in choices.ENGINES:
            environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PKG_NAME": name, "PKG_VERSION": version}
            script = paths.PACKAGES / "mailrelay/test-version.sh"
            assert subprocess.run([script], env=environment, capture_output=True).returncode == status
