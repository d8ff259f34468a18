"""Which of two versions of a package is the newer one, for both package managers."""

from __future__ import annotations

import re


def newer(one: str, other: str) -> bool:
    """Whether version `one` comes after `other`; digits as numbers, "~" before everything."""

    def parts(version: str) -> list[tuple[int, int, str]]:
        found = re.findall(r"(\d+)|(~)|([^\d~]+)", version)
        return [
            (2, int(number), "") if number else (-1, 0, "") if tilde else (1, 0, text) for number, tilde, text in found
        ]

    return [*parts(one), (0, 0, "")] > [*parts(other), (0, 0, "")]
