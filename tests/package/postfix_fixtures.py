"""A pytest plugin for the Postfix engine's tests with mail: fixtures `router`, `provider` (a real one) and `port`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from forge.core.ports import free_ports
from forge.servers import postfix
from forge.servers.certificates import make_certificates
from tests.package.postfix_router import Router, built
from tests.package.postfix_sending import PASSWORD


@pytest.fixture(scope="module")
def running_provider() -> Iterator[postfix.Provider]:
    provider = postfix.Provider()
    logins = provider.instance._spec.logins
    logins[0] = (*logins[0][:2], PASSWORD)
    provider.password = PASSWORD
    with provider:
        yield provider


@pytest.fixture
def provider(running_provider: postfix.Provider) -> postfix.Provider:
    running_provider.start()
    running_provider.forget()
    return running_provider


@pytest.fixture(scope="module")
def one_router(running_provider: postfix.Provider) -> Iterator[Router]:
    with contextlib.contextmanager(built)() as router:
        router._add("etc/ca.pem", running_provider.ca_file.read_bytes())
        router._add("etc/other.pem", make_certificates("other.example").authority)
        yield router


@pytest.fixture
def router(one_router: Router) -> Iterator[Router]:
    one_router.fresh()
    yield one_router
    one_router.stop()
    print(one_router.log)  # shown if the test failed


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]
