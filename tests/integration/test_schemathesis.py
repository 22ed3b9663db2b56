"""Requests made up from the OpenAPI page, valid and invalid ones: nothing answers 500, and every answer is as the page says."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import Case
from schemathesis.config import CacheConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fake_assembly import fake_assembly
from voice_agent.api.app import create_app
from voice_agent.api.keys import KeyStore
from voice_agent.api.server import bind, make_server
from voice_agent.settings import Settings

EXAMPLES = 20
"""For each route, besides those that schemathesis always tries: about a minute in all."""


def nothing_broke(_context: Any, response: schemathesis.Response, _case: Case[Any]) -> bool | None:
    """503 says that something is not there, which may be; every other 5xx is a fault of ours."""
    assert response.status_code < 500 or response.status_code == 503, response.text
    return None


CHECKS = [
    nothing_broke,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

schema = schemathesis.openapi.from_dict(
    create_app(Settings(), fake_assembly()).openapi(),
    config=SchemathesisConfig(cache=CacheConfig(enabled=False)),  # no folder of its own beside the sources
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, connection: requests.Session) -> Iterator[str]:
    """The server on fake engines, in a thread: schemathesis blocks."""
    settings = Settings()
    keys = KeyStore(tmp_path_factory.mktemp("keys") / "keys.json")
    (sock,) = bind("127.0.0.1", 0)
    running = make_server(create_app(settings, fake_assembly(heard=["hello there"] * 1000), keys=keys), settings.server)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[sock])), name="server")
    thread.start()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    try:
        # The first request starts the worker thread that serves all of them: it belongs to the server, not to a test.
        connection.get(f"{url}/v1/models", timeout=20)
        yield url
    finally:
        running.should_exit = True
        thread.join(20.0)
        sock.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def connection() -> Iterator[requests.Session]:
    """One for all requests, which opens no new socket each time and asks no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.timeout(120)
@schema.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_route(case: Case[Any], server: str, connection: requests.Session) -> None:
    case.call_and_validate(base_url=server, session=connection, checks=CHECKS, timeout=20)
