"""Where the relay's files are, unless a caller says otherwise."""

from __future__ import annotations

import os

DEFAULT_CONFIG = "/etc/config/mailrelay"
DEFAULT_RUN_DIR = "/var/run/mailrelay"

# In the run directory:
FILE = "status.json"
SERVICE = "service.json"  # by OpenWrt's init script, see cli/service.py
CONTROL = "control"  # a FIFO, see ipc
ACCEPTED_CONFIG = "config"  # the settings that the relay runs by, readable by its starter alone; OpenWrt's init script
# puts them there
STATE = "state"  # what couriers have learnt and the next relay of this boot goes on with


def stamp(path: str) -> tuple[int, int]:
    """Return what differs for a file that was replaced or rewritten; zeros for none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
