"""The task `generate`: the one door to every file that is made from others. What they are stands in their rooms."""

from __future__ import annotations

from forge.core import console, paths
from forge.core.errors import ForgeError
from forge.generate import registry
from forge.packages import po

SOURCES = (registry.stale, po.stale)  # translations last: they name lines of scripts that are made


def run(*, check: bool = False) -> None:
    """Write the files that are not as they should be; with `check` write none and raise ForgeError."""
    names = []
    for stale in SOURCES:
        for path, text in stale().items():
            names.append(paths.shown(path))
            if not check:
                path.write_text(text, encoding="utf-8")
    if names and check:
        raise ForgeError(f"these are not as the code makes them: {', '.join(names)}", hint="./inv generate writes them")
    console.good("\n".join(f"{name}: written" for name in names) or "every generated file is up to date")
