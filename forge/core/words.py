"""Words that people type: what they may have meant, and lists in one word.

commandline.py and tasks.py call this, and all others through cli.py, which hands near() on. Standard library only:
./inv needs it before anything is installed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, names: Iterable[str]) -> str:
    """' Did you mean x or y?', or nothing where no name comes near."""
    matches = difflib.get_close_matches(word, list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def split(text: str) -> tuple[str, ...]:
    """A list from one option: its words, with spaces or commas between."""
    return tuple(text.replace(",", " ").split())
