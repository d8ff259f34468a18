"""The mail provider of the tests: Debian's Postfix, by forge/servers/postfix.py, one for all tests of a run.

The conftest.py of a folder that wants one takes these fixtures over.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forge.servers import postfix


@pytest.fixture(scope="session")
def running_provider() -> Iterator[postfix.Provider]:
    if reason := postfix.obstacle():
        pytest.skip(reason)
    with postfix.Provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: postfix.Provider) -> Iterator[postfix.Provider]:
    """The provider, up and with an empty mailbox; a test may stop it, and need not start it again."""
    running_provider.start()
    running_provider.forget()
    yield running_provider
    running_provider.start()
