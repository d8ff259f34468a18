"""What options choose from and the checkout alone knows: formats, areas, our packages. Standard library only."""

from __future__ import annotations

import re

from forge.core import paths

FORMATS = ("ipk", "apk", "deb", "all")
BUILDERS = ("auto", "sdk", "mini")
ON_ROUTERS = ("lab", "luci")  # areas whose tests run on the router that --host, --firmware or --target name
ENGINES = ("mailrelay", "mailrelay-postfix")
STEPS = ("major", "minor", "patch")  # of a version
MOST_MEMORY = 4096  # MB of a guest; malta takes 2048 at most and says so itself
MANY_JOBS = 64  # images at a time: more than any machine has use for


def formats(format: str) -> tuple[str, ...]:
    """The package formats that a value of --format means."""
    return ("ipk", "apk") if format == "all" else (format,)


def areas() -> list[str]:
    """The parts that can be tested by themselves: the folders of tests/ that hold tests."""
    return sorted({path.relative_to(paths.TESTS).parts[0] for path in paths.TESTS.glob("*/**/test_*.py")})


def on_router(only: str) -> str:
    """The one area that is tested where a router is named: the lab's, unless another is asked for that can be."""
    return only if only in ON_ROUTERS else "lab"


def checked() -> list[str]:
    return [*areas(), "lint"]


def packages() -> list[str]:
    """Ours, as their Makefiles name them: by BuildPackage, else by PKG_NAME."""
    found = []
    for path in sorted(paths.PACKAGES.glob("*/Makefile")):
        text = path.read_text(encoding="utf-8")
        found += re.findall(r"(?m)^\$\(eval \$\(call BuildPackage,([\w.+-]+)\)\)", text) or re.findall(
            r"(?m)^PKG_NAME:=(\S+)", text
        )
    return found
