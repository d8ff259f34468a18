"""A device of a target by its profile: which images the ImageBuilder makes for it, and what its flash holds.

Read from profiles.json as OpenWrt publishes it (and as the ImageBuilder itself writes it for what it made); for a
target that has none, from `make info`. image.py and imagebuilder.py ask here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forge.openwrt import catalog
from forge.openwrt.catalog import Target, Version

# Booted from memory, and made by OpenWrt's own build alone: the ImageBuilder has no kernel for it.
NOT_BY_IMAGEBUILDER = re.compile(r"initramfs|-recovery\.itb$")


@dataclass(frozen=True)
class Device:
    """`images` are the names that the ImageBuilder gives them without EXTRA_IMAGE_NAME; empty: nobody said."""

    profile: str
    title: str
    images: tuple[str, ...]
    limits: dict[str, int]  # bytes: "image" and "kernel", from 25.12 on; empty before
    boards: tuple[str, ...]  # what the running device calls itself


def of(profile: str, data: Mapping[str, Any] | None) -> Device:
    """From a profiles.json that has this profile; from nothing, a device of which only the name is known."""
    entry = (data or {}).get("profiles", {}).get(profile, {})
    images = [
        str(image["name"])
        for image in entry.get("images", [])
        if image.get("filesystem") != "initramfs" and not NOT_BY_IMAGEBUILDER.search(str(image["name"]))
    ]
    limits = {name: int(value) for name, value in entry.get("file_size_limits", {}).items() if int(value) > 0}
    boards = tuple(map(str, entry.get("supported_devices", [])))
    return Device(profile, catalog.titles(entry), tuple(images), limits, boards)


def named(device: Device, version: Version, target: Target, extra: str) -> tuple[str, ...]:
    """The names of the images of a build with EXTRA_IMAGE_NAME (include/image.mk: it stands before the target)."""
    before = f"openwrt-{version.in_names}{target.dashed}-"
    return tuple(
        f"openwrt-{version.in_names}{extra}-{target.dashed}-{name.removeprefix(before)}"
        if name.startswith(before)
        else name
        for name in device.images
    )


def from_info(output: str) -> dict[str, Any]:
    """What `make info` prints, in profiles.json's form: names and titles, no images."""
    profiles = {}
    for found in re.finditer(r"^([\w.,+-]+):\n {4}(\S.*)\n {4}Packages:.*(?:\n {4}\S.*)*", output, re.MULTILINE):
        boards = re.search(r"^ {4}SupportedDevices: (.*)$", found[0], re.MULTILINE)
        profiles[found[1]] = {
            "titles": [{"title": found[2]}],
            "supported_devices": boards[1].split() if boards else [],
        }
    return {"profiles": profiles}
