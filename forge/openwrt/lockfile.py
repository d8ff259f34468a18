"""feeds/lock.toml, read and written: which point release a series means, and the name and hash of each locked file.

What is fetched has to be what stands here (release_index.py asks); lock.py brings it up to date. No network here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib

from forge.core import paths
from forge.core.errors import ForgeError

KINDS = ("imagebuilder", "sdk")
HEADER = """\
# Which files of OpenWrt's are the right ones: written by ./inv lock, checked whenever one is fetched or used.

"""


class LockError(ForgeError):
    """What a server has is not what feeds/lock.toml says, or that file is damaged."""


@dataclass(frozen=True)
class Pin:
    name: str
    sha256: str


def file() -> Path:
    return paths.FEEDS / "lock.toml"


def read() -> dict[str, Any]:
    """The whole file: release -> target -> kind -> {name, sha256}, and "newest": series -> release."""
    try:
        return tomllib.loads(file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LockError(f"{paths.shown(file())}: {error}", hint=f"git checkout {paths.shown(file())}") from None


def newest(series: str, target: str = "") -> str:
    """The point release that a series means: the newest that is locked for the target, else for any; or empty."""
    data = read()
    pinned = [number for number in data if number.startswith(f"{series}.") and target in data[number]]
    return max(pinned, key=_order) if pinned else str(data.get("newest", {}).get(series, ""))


def pin(release: str, target: str, kind: str) -> Pin | None:
    entry = read().get(release, {}).get(target, {}).get(kind)
    return Pin(entry["name"], entry["sha256"]) if entry else None


def _order(number: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in number.replace("-rc", ".-").split("."))


def write(data: dict[str, Any]) -> None:
    """Write the file, whole or not at all, its tables in order."""
    import tomli_w

    ordered = {key: _sorted(data[key]) for key in sorted(data, key=lambda key: (key != "newest", key))}
    with paths.replacing(file()) as partial:
        partial.write_text(HEADER + tomli_w.dumps(ordered), encoding="utf-8")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        keys: Iterable[str] = sorted(value, key=lambda key: (key == "sha256", key))
        return {key: _sorted(value[key]) for key in keys}
    return value
