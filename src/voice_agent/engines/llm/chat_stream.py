"""A language model behind HTTP that streams chat completions: patience, retries and errors, the same for every SDK.

The SDKs' own retries are off, because they know nothing of a person who waits: one short retry is made here, and then the
next engine's turn has come (chain.py).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from voice_agent.engines.base import LlmCapabilities, LlmDelta, LlmRequest
from voice_agent.engines.llm import faults
from voice_agent.engines.llm.answer import Answer
from voice_agent.engines.llm.wire import Chunk, read_chunk
from voice_agent.errors import EngineError, EngineTimeout

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3.0
"""A server that does not take a connection in this time is unreachable to somebody who talks."""

KEEP_OPEN_S = 90.0
"""Idle connections are kept this long: the pause between two turns is longer than the 5 s of the HTTP client's default, and a
new connection costs two or three round trips."""

LONGEST_RETRY_WAIT_S = 1.5
"""A server that asks for a longer pause is given up for this reply."""

SERVER_ERROR_WAIT_S = 0.2
"""Before the one retry after a 5xx: long enough for a load balancer to choose another machine."""

TAIL_S = 1.0
"""How long to wait for the usage once the model has finished; the text is complete then."""

WARM_TIMEOUT_S = 5.0

FINALISER_ROUNDS = 16
"""The SDKs leave nested async generators half read; the loop closes each in a task of its own, one after the other. Rounds of the
loop that closing the engine gives them, so that none is left over: four generators take two or three rounds each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds until the first text, between two pieces, and of waiting altogether. Time that the consumer takes does not count."""

    first_token_s: float = 5.0
    next_token_s: float = 5.0
    whole_s: float = 60.0


class SdkResponse(Protocol):
    @property
    def headers(self) -> Any: ...


class SdkStream(Protocol):
    """What both SDKs return for `stream=True`."""

    @property
    def response(self) -> SdkResponse: ...

    async def __anext__(self) -> Any: ...

    async def close(self) -> None: ...


class Sdk(Protocol):
    """One SDK's client, wrapped. Its exceptions are `errors`."""

    errors: faults.SdkErrors

    async def open(self, request: LlmRequest) -> SdkStream: ...

    async def ping(self) -> None:
        """A cheap request that opens the connection."""
        ...

    async def close(self) -> None: ...


class ChatStream:
    """An `LlmModel` over an SDK."""

    def __init__(self, sdk: Sdk, *, peer: faults.Peer, capabilities: LlmCapabilities, patience: Patience) -> None:
        self.name = peer.engine
        self.model = peer.model
        self.capabilities = capabilities
        self._sdk = sdk
        self._peer = peer
        self._patience = patience
        self._closed = False
        self._warm_until = 0.0

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmDelta, None]:
        answer = Answer(self.name)
        waits = _Waits(self._peer, self._patience, answer)
        source = await self._open(request, waits)
        try:
            while (chunk := await self._next(source, waits, answer)) is not None:
                for delta in answer.add(chunk):
                    yield delta
            for delta in answer.end():
                yield delta
        finally:
            # Closes the socket where the answer was not read to its end, which stops the generation at the server.
            await source.close()

    async def warm(self, request: LlmRequest) -> None:
        """Opens the connection, unless one is surely open. `request` is not sent."""
        now = asyncio.get_running_loop().time()
        if self._closed or now < self._warm_until:
            return
        with contextlib.suppress(*self._sdk.errors.every, TimeoutError):
            async with asyncio.timeout(WARM_TIMEOUT_S):
                await self._sdk.ping()
            self._connection_is_open()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._sdk.close()
            for _ in range(FINALISER_ROUNDS):
                await asyncio.sleep(0)

    async def _open(self, request: LlmRequest, waits: "_Waits") -> SdkStream:
        try:
            return await self._try_to_open(request, waits)
        except EngineError as error:
            pause = _pause_before_retry(error)
            if pause is None:
                raise
        await asyncio.sleep(pause)
        return await self._try_to_open(request, waits)

    async def _try_to_open(self, request: LlmRequest, waits: "_Waits") -> SdkStream:
        if self._closed:
            raise faults.shut_down(self.name)
        errors = self._sdk.errors
        try:
            source = await waits.wait(self._sdk.open(request))
        except errors.every as error:
            # `from None`: the SDK's error quotes the server, which may quote the key or the conversation.
            raise self._judge(error, faults.open_failure(self._peer, errors, error)) from None
        self._connection_is_open()
        content_type = str(source.response.headers.get("content-type", ""))
        if content_type.startswith(("text/html", "application/json")):
            await source.close()
            raise faults.not_a_stream(self._peer, content_type)
        return source

    async def _next(self, source: SdkStream, waits: "_Waits", answer: Answer) -> Chunk | None:
        """None when the stream has ended."""
        errors = self._sdk.errors
        try:
            return read_chunk(_plain(await waits.wait(source.__anext__())))
        except StopAsyncIteration:
            self._connection_is_open()
            return None
        except EngineTimeout:
            if answer.finished:
                return None  # only the usage is missing
            raise
        except errors.every as error:
            if answer.finished:
                return None
            raise self._judge(error, faults.stream_failure(self._peer, errors, error)) from None

    def _judge(self, error: Exception, failure: EngineError) -> Exception:
        """A connection that breaks because this engine is being closed is nobody's fault. A RuntimeError is what the HTTP
        clients raise then; at any other time it is a mistake of ours."""
        if self._closed:
            return faults.shut_down(self.name)
        return error if isinstance(error, RuntimeError) else failure

    def _connection_is_open(self) -> None:
        self._warm_until = asyncio.get_running_loop().time() + KEEP_OPEN_S / 2


def _pause_before_retry(error: EngineError) -> float | None:
    """Seconds until the one retry, None where there is none."""
    match error.code:
        case "llm.server_error":
            return SERVER_ERROR_WAIT_S
        case "llm.unreachable" if not isinstance(error, EngineTimeout):
            return 0.0  # an idle connection that the other side had closed looks like this, too
        case "llm.rate_limited" if error.retry_after_s is not None and error.retry_after_s <= LONGEST_RETRY_WAIT_S:
            return error.retry_after_s
    return None


def _plain(chunk: Any) -> object:
    """The SDK's chunk as JSON values; what is not of the documented shape comes through as it is."""
    return chunk.model_dump(warnings=False) if hasattr(chunk, "model_dump") else chunk


class _Waits:
    """The time limits of one answer."""

    def __init__(self, peer: faults.Peer, patience: Patience, answer: Answer) -> None:
        self._peer = peer
        self._patience = patience
        self._answer = answer
        self._waited_s = 0.0

    async def wait(self, step: Awaitable[T]) -> T:
        """One wait for the server. Raises `EngineTimeout`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._limit_s()):
                return await step
        except TimeoutError:
            raise faults.too_late(self._peer, after_s=clock() - began, begun=self._answer.begun) from None
        finally:
            self._waited_s += clock() - began

    def _limit_s(self) -> float:
        left_s = self._patience.whole_s - self._waited_s
        if self._answer.finished:
            return min(TAIL_S, left_s)
        if self._answer.begun:
            return min(self._patience.next_token_s, left_s)
        return min(self._patience.first_token_s - self._waited_s, left_s)
