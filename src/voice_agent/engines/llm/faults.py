"""What went wrong at a language-model server, in our errors.

A server's own message is never repeated: some echo the key, some the conversation. What is told is the HTTP status and the
server's machine-readable code word.
"""

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from voice_agent.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable

_CODE_WORD = re.compile(r"[a-z][a-z_]{2,48}")
"""Letters and underscores only, as in "context_length_exceeded": no key looks like that."""

_NO_SUCH_MODEL = frozenset({"model_not_found", "model_decommissioned", "model_not_active", "not_found_error"})
_TOO_LONG = frozenset({"context_length_exceeded", "request_too_large", "exceed_context_size_error"})
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is asked, in the words that a remedy needs. `key_setting` and the others are names of settings."""

    engine: str
    model: str
    host: str
    key_setting: str
    model_setting: str
    address_setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkErrors:
    """The exceptions of one SDK. Groq's and OpenAI's are made by one generator, so they have the same names and fields.

    `transport` are those of its HTTP client that it lets through while a stream is read.
    """

    base: type[Exception]
    status: type[Exception]
    connection: type[Exception]
    timeout: type[Exception]
    transport: tuple[type[Exception], ...] = ()

    @property
    def every(self) -> tuple[type[Exception], ...]:
        """With ValueError, which an event that is not JSON raises, and RuntimeError, which a closed client raises."""
        return (self.base, *self.transport, ValueError, RuntimeError)


def open_failure(peer: Peer, errors: SdkErrors, error: Exception) -> EngineError:
    """Why no answer began."""
    if isinstance(error, errors.status):
        return _status_failure(peer, error)
    if isinstance(error, errors.timeout):
        return _unreachable(peer, EngineTimeout, "it does not take the connection")
    if isinstance(error, (errors.connection, *errors.transport)):
        return _unreachable(peer, EngineFailed, "no connection")
    return _failed(peer, "gave an answer that cannot be used", code="llm.bad_answer")


def stream_failure(peer: Peer, errors: SdkErrors, error: Exception) -> EngineError:
    """Why an answer that had begun did not go on."""
    if isinstance(error, (errors.connection, *errors.transport)):
        return _failed(peer, "broke off in the middle of its answer", code="llm.cut")
    if isinstance(error, errors.base):
        word = _code_word(error)
        return _failed(peer, "reported a failure in the middle of its answer", code="llm.server_error", why=word)
    return _failed(peer, "gave an answer that cannot be used", code="llm.bad_answer", why="an event is not as documented")


def _unreachable(peer: Peer, kind: type[EngineFailed] | type[EngineTimeout], why: str) -> EngineError:
    return kind(
        f"{peer.engine} cannot be reached at {peer.host}",
        engine=peer.engine,
        why=why,
        remedy=f"Check the network and {peer.address_setting}",
        code="llm.unreachable",
        retryable=True,
    )


def too_late(peer: Peer, *, after_s: float, begun: bool) -> EngineTimeout:
    what = "stopped in the middle of its answer" if begun else "did not begin to answer in time"
    code = "llm.stalled" if begun else "llm.slow"
    return EngineTimeout(f"{peer.engine} {what}", engine=peer.engine, why=f"nothing for {after_s:.1f} s", code=code)


def shut_down(engine: str) -> EngineUnavailable:
    return EngineUnavailable(f"{engine} is shut down", engine=engine)


def not_a_stream(peer: Peer, content_type: str) -> EngineError:
    kind = content_type.partition(";")[0].strip()[:40]
    return EngineFailed(
        f"{peer.engine} did not stream its answer",
        engine=peer.engine,
        why=f"{peer.host} sent {kind}",
        remedy=f"Check {peer.address_setting}: it should end where /chat/completions is added, mostly in /v1",
        code="llm.bad_answer",
    )


def retry_after_s(headers: Any) -> float | None:
    """Seconds of `retry-after-ms` or `retry-after` (seconds, or an HTTP date); None where neither can be read."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _status_failure(peer: Peer, error: Any) -> EngineError:
    """`error` is the SDK's status error: status_code, response, body."""
    status: int = error.status_code
    word = _code_word(error)
    why = f"HTTP {status} {word}".rstrip()
    if status in (401, 403):
        remedy = f"Set {peer.key_setting} to a valid key"
        return _unusable(peer, "does not accept the key", code="llm.bad_key", why=why, remedy=remedy)
    if word in _NO_MONEY or status == 402:
        return _unusable(peer, "has no credit left for this key", code="llm.no_credit", why=why, remedy="Top up the account")
    if word in _TOO_LONG:
        return _failed(peer, "finds the conversation too long", code="llm.prompt_too_long", why=why, retryable=False)
    if status == 404 or word in _NO_SUCH_MODEL:
        remedy = f"Check {peer.model_setting} and {peer.address_setting}"
        what = f"does not know the model {peer.model!r}"
        return _unusable(peer, what, code="llm.unknown_model", why=why, remedy=remedy)
    if status == 429:
        wait = retry_after_s(error.response.headers)
        return _failed(peer, "has had too many requests", code="llm.rate_limited", why=why, retry_after=wait)
    if status >= 500 or status in (408, 409):
        return _failed(peer, "has failed", code="llm.server_error", why=why)
    return _failed(peer, "refused the request", code="llm.refused_request", why=why, retryable=False)


def _unusable(peer: Peer, what: str, *, code: str, why: str, remedy: str) -> EngineUnavailable:
    return EngineUnavailable(f"{peer.engine} {what}", engine=peer.engine, code=code, why=why, remedy=remedy)


def _failed(
    peer: Peer, what: str, *, code: str, why: str = "", retryable: bool = True, retry_after: float | None = None
) -> EngineFailed:
    return EngineFailed(
        f"{peer.engine} {what}", engine=peer.engine, code=code, why=why, retryable=retryable, retry_after_s=retry_after
    )


def _code_word(error: Any) -> str:
    """The server's `code`, else its `type`, where it is a plain word; both at the top or under "error"."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if not isinstance(body, dict):
        return ""
    words = (body.get("code"), body.get("type"))
    return next((word for word in words if isinstance(word, str) and _CODE_WORD.fullmatch(word)), "")
