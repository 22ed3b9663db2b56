"""Limits that every request meets: how often somebody may ask, how large and how slow a body may be."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent.errors import AccessError, InputError

TABLE_SIZE = 10_000
"""Clients remembered by a rate limit, 1 to 2 MB. The one that was quiet for longest is forgotten first: its bucket had time
to fill, so little is lost."""

BURST_S = 10.0
"""A client may spend the requests of this long at once."""

MEBIBYTE = 1024 * 1024
BODY_BYTES = MEBIBYTE
UPLOAD_BYTES = 25 * MEBIBYTE
"""The most that OpenAI takes for a recording."""

UPLOADS: Mapping[str, int] = {"/v1/audio/transcriptions": UPLOAD_BYTES}
"""Paths with a larger body."""

BODY_PATIENCE_S = 30.0
"""The next piece of a body must come within this time."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """A token bucket for each client: `per_minute` requests in the long run, those of `BURST_S` at once.

    `clock` is in seconds and only moves forward.
    """

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic, table_size: int = TABLE_SIZE) -> None:
        self._rate = per_minute / 60.0
        self._most = max(1.0, self._rate * BURST_S)
        self._clock = clock
        self._table_size = table_size
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str) -> None:
        """One request of `client`. Raises `AccessError` with the time after which the next one is served."""
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self._most, now)
            if len(self._buckets) > self._table_size:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(client)
        bucket.tokens = min(self._most, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            raise AccessError(
                "Too many requests",
                why=f"{self._rate * 60:g} a minute are served",
                remedy="Wait a moment",
                code="access.too_many_requests",
                retry_after_s=(1.0 - bucket.tokens) / self._rate,
            )
        bucket.tokens -= 1.0


class BodyLimit:
    """Refuses a body that is larger than its path allows, before it is read where its length is told, else while it is read."""

    def __init__(self, app: ASGIApp, *, uploads: Mapping[str, int] = UPLOADS, patience_s: float = BODY_PATIENCE_S) -> None:
        self._app = app
        self._uploads = uploads
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._uploads.get(scope["path"], BODY_BYTES)
        if _told_length(scope) > limit:
            raise InputError(_too_large(limit), code="input.too_large")
        await self._app(scope, self._counting(receive, limit), send)

    def _counting(self, receive: Receive, limit: int) -> Receive:
        read, complete = 0, False

        async def counted() -> Message:
            nonlocal read, complete
            if complete:
                return await receive()  # only waits for the disconnect
            try:
                async with asyncio.timeout(self._patience_s):
                    message = await receive()
            except TimeoutError:
                # An HTTPException, because it passes through whatever reads the body.
                raise HTTPException(408, "The request's body did not come", headers={"Connection": "close"}) from None
            read += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if read > limit:
                raise HTTPException(413, _too_large(limit), headers={"Connection": "close"})
            return message

        return counted


def _told_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large(limit: int) -> str:
    return f"The request's body is too large; {limit // MEBIBYTE} MiB are taken"
