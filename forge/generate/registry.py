"""The files that are made from the code, and the one door to them: `./inv generate`. A test calls `stale`.

Each one is a function from its text as it stands to its text as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from forge.generate import docs, luci_advice, luci_options, option_table, versions

FILES: Mapping[Path, Callable[[str], str]] = {
    docs.CONFIG: docs.render,
    luci_options.FILE: luci_options.render,
    luci_advice.FILE: luci_advice.render,
    option_table.TABLE: option_table.render,
    versions.LUCI: versions.luci,
    versions.LIBRARY: versions.library,
}


def stale() -> dict[Path, str]:
    """Return the files that are not as they should be, with the text that they should have."""
    found = {}
    for path, render in FILES.items():
        before = path.read_text(encoding="utf-8")
        after = render(before)
        if after != before:
            found[path] = after
    return found
