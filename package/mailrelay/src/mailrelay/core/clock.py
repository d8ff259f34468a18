"""Which time it is, and whether to believe it.

A router starts with the date of the newest file in /etc, maybe months old, until NTP has answered. So intervals count
in CLOCK_BOOTTIME, which only goes forward until a reboot; wall time is for headers and people. Used by every role.
"""

from __future__ import annotations

import os
import time

# No correct clock can show less: the month in which this code was written.
EARLIEST = 1761955200.0  # 2025-11-01T00:00:00Z

# Any of these says that the wall clock was set from something better than a file's date.
EVIDENCE = (
    "/sys/class/rtc/rtc0",  # a battery-backed clock
    "/run/systemd/timesync/synchronized",
    "/var/run/mailrelay/clock-set",  # left by our /etc/hotplug.d/ntp script
)

_ASK_AGAIN = 5.0  # seconds between two looks at the evidence: this is asked for every message

_boot_id = ""
_trusted = False
_asked = -_ASK_AGAIN


def wall() -> float:
    """Return seconds since 1970, right or not."""
    return time.time()


def boottime() -> float:
    """Return seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return the kernel's random name for this boot: 36 characters, or "-" where there is none."""
    global _boot_id
    if not _boot_id:
        try:
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # not as text: no codec is loaded for this
                _boot_id = file.read().decode().strip()
        except OSError:
            _boot_id = "-"
    return _boot_id


def trusted() -> bool:
    """Return whether the wall clock is plausible and something vouches for it; once true, true for good."""
    global _trusted, _asked
    if not _trusted and boottime() >= _asked + _ASK_AGAIN:
        _asked = boottime()
        _trusted = wall() >= EARLIEST and any(os.path.exists(path) for path in EVIDENCE)
    return _trusted
