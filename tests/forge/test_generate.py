"""What is made from the code is as the code makes it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from forge.core.paths import PACKAGES, RELAY
from forge.generate import docs, option_table, registry, versions
from forge.generate.relay_schema import OPTIONS, TYPES
from forge.inv import generate
from forge.packages import stage
from tests.support.option_values import VALUES


def test_every_generated_file_is_up_to_date() -> None:
    generate.run(check=True)


def test_a_file_that_is_not_is_named_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "options"
    table.write_text("mailrelay\tenabled\n")
    monkeypatch.setattr(registry, "FILES", {table: registry.FILES[option_table.TABLE]})
    with pytest.raises(ForgeError, match=str(table)):
        generate.run(check=True)
    assert table.read_text() == "mailrelay\tenabled\n"
    generate.run()
    assert table.read_text() == option_table.TABLE.read_text()


def test_every_option_is_in_the_docs() -> None:
    text = docs.CONFIG.read_text(encoding="utf-8")
    assert all(f"| `{option.name}`" in text for options in OPTIONS.values() for option in options)


def told(folder: Path) -> str:
    argv = [sys.executable, "-I", "-S", "-B", str(folder), "--version"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_there_is_one_version(tmp_path: Path) -> None:
    """The Makefile's is in the package's code and in a checkout's, in LuCI's app and the Arduino library."""
    version, _ = versions.product()
    assert told(RELAY) == f"mailrelay {version}\n"
    assert f"PKG_VERSION:={version}\n" in versions.LUCI.read_text()
    assert f"version={version}\n" in versions.LIBRARY.read_text()
    copy = tmp_path / "mailrelay"
    shutil.copytree(PACKAGES / "mailrelay", copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    makefile = copy / "Makefile"
    makefile.write_text(makefile.read_text().replace(f"PKG_VERSION:={version}\n", "PKG_VERSION:=7.8.9\n"))
    with stage.staged(copy, ["mailrelay"], epoch=1_700_000_000) as (package,):
        assert told(package.root / "usr/lib/mailrelay/relay") == "mailrelay 7.8.9\n"
    makefile.unlink()
    assert told(copy / "src") == "mailrelay unknown\n"


AWK = r"""
FNR == NR { if ($1 == "type") { pattern[$2] = $3; never[$2] = $4 }; next }
{ print ($2 ~ ("^(" pattern[$1] ")$") && !(never[$1] != "-" && $2 ~ ("^(" never[$1] ")$"))) }
"""


def test_the_routers_awk_reads_the_expressions_as_python_does() -> None:
    values = ((name, value) for name, (right, wrong) in VALUES.items() for value in (*right, *wrong))
    asked = [(name, value) for name, value in values if not re.search("[\t\n]", value)]
    lines = "".join(f"{name}\t{value}\n" for name, value in asked)
    argv = ["busybox", "awk", "-F", "\t", AWK, str(option_table.TABLE), "-"]
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, env={"LC_ALL": "C"}, check=True)
    assert done.stdout.split() == [str(int(TYPES[name].matches(value))) for name, value in asked]
