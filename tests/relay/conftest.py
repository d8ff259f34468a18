"""The relay's modules lie flat in package/mailrelay/src and are imported by their bare names, as on the router."""

from __future__ import annotations

import sys
from pathlib import Path

RELAY = Path(__file__).resolve().parents[2] / "package" / "mailrelay" / "src"
if str(RELAY) not in sys.path:
    sys.path.insert(0, str(RELAY))
