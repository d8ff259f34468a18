"""`mailrelay compile`: leave this Python's bytecode beside the sources.

A package of sources alone serves every Python, but compiling them at each start takes a small router seconds and
megabytes (docs/owner/OPENWRT.md has the figures). So the package has each router do it once, for the Python it has. The
bytecode is checked against its source at import: an upgrade of the package or of Python runs nothing out of date. It
holds no docstrings, which would stay in memory.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys


def main(arguments: list[str]) -> int:
    """Compile everything. Return 1, after a line on stderr, where that is impossible: the relay works without."""
    if arguments:
        print("mailrelay compile: takes no arguments", file=sys.stderr)
        return os.EX_USAGE
    try:
        for folder, _, names in os.walk(os.path.abspath(f"{__file__}/../../..")):
            if os.path.basename(folder) != "__pycache__":
                _compile(folder, names)
    except (OSError, py_compile.PyCompileError) as error:
        print(f"mailrelay compile: {error}; the relay works without, but starts more slowly", file=sys.stderr)
        return 1
    return 0


def _compile(folder: str, names: list[str]) -> None:
    """Compile the sources of one folder, and delete what lies in its __pycache__ without one."""
    wanted = set()
    for name in sorted(names):
        source = os.path.join(folder, name)
        if name.endswith(".py"):
            target = importlib.util.cache_from_source(source)
            mode = py_compile.PycInvalidationMode.CHECKED_HASH
            py_compile.compile(source, target, doraise=True, optimize=2, invalidation_mode=mode)
            wanted.add(target)
    cache = os.path.join(folder, "__pycache__")
    for name in os.listdir(cache) if os.path.exists(cache) else []:
        if os.path.join(cache, name) not in wanted:
            os.unlink(os.path.join(cache, name))
