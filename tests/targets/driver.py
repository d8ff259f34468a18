"""./inv in a process of its own for the tests: the real command line, on the test's folders and the test key.

`driver.py FEEDS DIST WORDS…`. OpenWrt's host programs are not required: the fake tools need none.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from forge.core import paths  # noqa: E402
from forge.host import host  # noqa: E402
from forge.inv import main  # noqa: E402
from forge.openwrt import openwrt_host  # noqa: E402

paths.FEEDS, paths.DIST = Path(sys.argv[1]), Path(sys.argv[2])
del sys.argv[1:3]
openwrt_host.MACHINES = (platform.machine(),)
required = host.require
os.environ["MAILRELAY_BROUGHT"] = "1"  # by nobody: see above
host.require = lambda *groups: required(*(set(groups) - {"image", "sdk"}))
main.main()
