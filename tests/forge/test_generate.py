"""What is made from the code is as the code makes it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from forge.generate import docs, option_table, registry
from forge.generate.relay_schema import OPTIONS, TYPES
from forge.inv import generate
from tests.option_values import VALUES


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
