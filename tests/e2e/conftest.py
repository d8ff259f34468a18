"""What the end-to-end tests share: a real mail provider, one for all."""

from __future__ import annotations

from tests.providers import provider as provider
from tests.providers import running_provider as running_provider
