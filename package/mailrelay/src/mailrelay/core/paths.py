"""Where the relay's files are, unless a caller says otherwise."""

from __future__ import annotations

DEFAULT_CONFIG = "/etc/config/mailrelay"
DEFAULT_RUN_DIR = "/var/run/mailrelay"

# In the run directory:
FILE = "status.json"
SERVICE = "service.json"  # by OpenWrt's init script, see cli/service.py
CONTROL = "control"  # a FIFO, see ipc
ACCEPTED_CONFIG = "config"  # the settings that the relay runs by, readable by its starter alone
STATE = "state"  # what couriers have learnt and the next relay of this boot goes on with
