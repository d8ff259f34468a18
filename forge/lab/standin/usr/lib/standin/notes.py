"""What tests want to know of the daemon's doings: lines in files of the folder that STANDIN_TRACE names."""

from __future__ import annotations

import os

_FOLDER = os.environ.get("STANDIN_TRACE", "")


def add(file: str, *words: object) -> None:
    if _FOLDER:
        with open(f"{_FOLDER}/{file}", "a") as out:
            print(*words, file=out)
