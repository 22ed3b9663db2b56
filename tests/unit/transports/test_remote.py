"""The address of a server, and what is said when it cannot be talked to."""

import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from voice_agent.errors import AccessError, InputError, OverloadedError, TransportError
from voice_agent.transports.remote import _not_opened, realtime_url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/v1/realtime?model=voice-agent&extensions=1"),
        ("http://localhost:8000/v1", "ws://localhost:8000/v1/realtime?model=voice-agent&extensions=1"),
        ("https://agent.example/", "wss://agent.example/v1/realtime?model=voice-agent&extensions=1"),
        ("wss://[::1]:1/other?model=x&intent=y", "wss://[::1]:1/other?model=x&intent=y&extensions=1"),
        (" ws://host/v1/realtime ", "ws://host/v1/realtime?model=voice-agent&extensions=1"),
    ],
)
def test_an_address_is_completed(given: str, url: str) -> None:
    assert realtime_url(given) == url


@pytest.mark.parametrize("given", ["", "127.0.0.1:8000", "ftp://x", "ws://", "ws://host:port", "ws://[::1", "ws://host:99999"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(InputError, match="is not the address of a server"):
        realtime_url(given)


def refused(status: int, body: bytes = b"", **headers: str) -> InvalidStatus:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return InvalidStatus(Response(status, "", Headers(**named), body))


def test_the_server_s_own_words_are_told() -> None:
    error = _not_opened(refused(401, b'{"error": {"message": "A key is needed.", "code": "access.no_key"}}'), "ws://x")
    assert isinstance(error, AccessError)
    assert (error.what, error.code) == ("A key is needed.", "access.no_key")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 1}', b'{"error": {"code": "x"}}', b"\xff"])
def test_an_answer_of_something_else_is_told_too(body: bytes) -> None:
    error = _not_opened(refused(403, body), "ws://x")
    assert isinstance(error, AccessError)
    assert "VOICE_AGENT_KEY" in str(error)


@pytest.mark.parametrize(("told", "seconds"), [("15", 15.0), ("", 5.0), ("Wed, 21 Oct", 5.0)])
def test_no_room(told: str, seconds: float) -> None:
    error = _not_opened(refused(503, Retry_After=told), "ws://x")
    assert isinstance(error, OverloadedError)
    assert error.retry_after_s == seconds
    assert f"Try again in {seconds:g} s" in str(error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused(404), "transport.not_realtime"),
        (ConnectionRefusedError(111, "refused"), "transport.unreachable"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed"), "transport.unreachable"),
        (TimeoutError(), "transport.unreachable"),
        (InvalidMessage("no HTTP"), "transport.not_realtime"),
        (ssl.SSLError(1, "wrong version"), "transport.not_realtime"),
        (EOFError(), "transport.not_realtime"),
    ],
)
def test_every_other_failure_has_a_code_and_a_remedy(error: Exception, code: str) -> None:
    told = _not_opened(error, "ws://x")
    assert isinstance(told, TransportError)
    assert told.code == code
    assert told.remedy
