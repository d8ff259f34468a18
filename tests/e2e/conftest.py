"""What the end-to-end tests share: a real mail provider, one for all."""

from __future__ import annotations

from tests.support.postfix_provider import provider as provider
from tests.support.postfix_provider import running_provider as running_provider
