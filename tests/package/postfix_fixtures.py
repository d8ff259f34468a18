"""A pytest plugin for the Postfix engine's tests with mail: fixtures `router` and `provider`, a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forge.servers import postfix
from forge.servers.certificates import make_certificates
from tests.package.postfix_router import PostfixRouter
from tests.package.postfix_sending import PASSWORD
from tests.support.postfix_provider import provider as provider


@pytest.fixture(scope="module")
def running_provider() -> Iterator[postfix.Provider]:
    with postfix.Provider(PASSWORD) as provider:
        yield provider


@pytest.fixture(scope="module")
def one_router(running_provider: postfix.Provider) -> Iterator[PostfixRouter]:
    with PostfixRouter() as router:
        router.put("/etc/ca.pem", running_provider.ca_file.read_text())
        router.put("/etc/other.pem", make_certificates("other.example").authority.decode())
        router.reach(running_provider.starttls_port)
        router.reach(running_provider.tls_port)
        yield router


@pytest.fixture
def router(one_router: PostfixRouter) -> Iterator[PostfixRouter]:
    one_router.fresh()
    yield one_router
    print(one_router.log())  # shown if the test failed
