"""Any tree of files for a packer: path -> kind, mode, and content or target; and how it is planted in a folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from hypothesis import strategies as st

Tree = dict[str, tuple[str, int, bytes]]

_names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..", "CONTROL") and not name.endswith(".part")
)
_odd_names = st.sampled_from(["x" * 99, "x" * 100, "y" * 101, "z" * 240, "-rf", "@a", "a\nb", " ", "*", "\\", "ä" * 60])
_modes = st.integers(0, 0o7777)
_leaves = st.one_of(
    st.tuples(st.just("file"), _modes.map(lambda mode: mode | 0o400), st.binary(max_size=3000)),
    st.tuples(st.just("link"), st.just(0o777), st.binary(min_size=1, max_size=60).filter(lambda to: b"\0" not in to)),
    st.tuples(st.just("directory"), _modes.map(lambda mode: mode | 0o700), st.just(b"")),
)


def _fitting(tree: Tree) -> Tree:
    """The tree without what lies below a file."""
    kinds = {path: kind for path, (kind, _, _) in tree.items()}
    above = {path: [kinds.get(str(parent), "directory") for parent in PurePosixPath(path).parents] for path in tree}
    return {path: leaf for path, leaf in tree.items() if set(above[path]) == {"directory"}}


TREES = st.dictionaries(st.lists(_names | _odd_names, min_size=1, max_size=4).map("/".join), _leaves, max_size=12).map(
    _fitting
)


def plant(root: Path, tree: Tree) -> None:
    for path, (kind, _, content) in tree.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "directory":
            place.mkdir(exist_ok=True)
        elif kind == "link":
            place.symlink_to(os.fsdecode(content))
        else:
            place.write_bytes(content)
    for path, (kind, mode, _) in tree.items():
        if kind != "link":
            (root / path).chmod(mode)
