"""The relay's schema for the host side: the one place where forge imports the relay. generate and site call it.

The relay is imported as on the router, from the folder of its package.
"""

from __future__ import annotations

import sys

from forge.core import paths

if str(paths.RELAY) not in sys.path:
    sys.path.insert(0, str(paths.RELAY))

from mailrelay.config import uci
from mailrelay.config.addresses import LOCAL_PART, NAME
from mailrelay.config.option_types import FALSE, SPACE_FREE, TRUE, TYPES
from mailrelay.config.schema import OPTIONS, Option, check

__all__ = ["FALSE", "LOCAL_PART", "NAME", "OPTIONS", "SPACE_FREE", "TRUE", "TYPES", "Option", "check", "uci"]
