"""The version, as --version, the log and the status file tell it."""

from __future__ import annotations

VERSION = "1.0.0"
