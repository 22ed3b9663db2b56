"""Answers that are sent while they are made, and work that ends when the client goes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from voice_agent.api.errors import envelope, status_of
from voice_agent.errors import VoiceAgentError

logger = logging.getLogger(__name__)

T = TypeVar("T")

EVENT_STREAM = "text/event-stream"


class ClientGone(Exception):
    """The client closed its connection before it had its answer; there is nobody to answer."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes. The request's body must have been read.

    Raises `ClientGone`, and what `work` raises.
    """
    gone, failure = False, None
    try:
        async with asyncio.TaskGroup() as group:
            working = group.create_task(work)

            async def watch() -> None:
                nonlocal gone
                while (await receive())["type"] != "http.disconnect":
                    pass
                gone = working.cancel()  # False where it is done already

            watching = group.create_task(watch())
            working.add_done_callback(lambda _: watching.cancel())
    except ExceptionGroup as errors:  # of one: what `work` raised
        failure = errors.exceptions[0]
    if failure is not None:
        raise failure
    if gone:
        raise ClientGone
    return working.result()


class LiveResponse(StreamingResponse):
    """`first`, then `rest` as it is made. `rest` is closed in every case, so that a client that goes stops the work.

    When `rest` fails there is no way left to say so but to break the connection off: a client must not take half a
    recording for a whole one. (An event stream says it itself, see `told`.)
    """

    def __init__(
        self,
        first: bytes,
        rest: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # Proxies such as nginx collect an answer before they pass it on, unless told not to.
        super().__init__(rest, media_type=media_type, headers={"X-Accel-Buffering": "no", **(headers or {})})
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with contextlib.suppress(ClientGone):
                await while_connected(receive, self._send(scope, send))
        finally:
            await self._rest.aclose()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        try:
            async for block in self._rest:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except VoiceAgentError as error:
            scope.setdefault("state", {})["error_code"] = error.code  # for the border, which counts
            logger.warning("%s was broken off: %s: %s", scope["path"], error.code, error)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def begun(receive: Receive, body: AsyncGenerator[bytes, None], *, media_type: str, headers: Mapping[str, str]) -> Response:
    """The answer that sends `body`, once its first piece is there: a failure until then still has a status of its own."""
    try:
        first = await while_connected(receive, _first(body))
    except ClientGone:
        await body.aclose()
        return Response(status_code=499)  # nobody reads it; the number is nginx's, for the access log
    except BaseException:
        await body.aclose()
        raise
    return LiveResponse(first, body, media_type=media_type, headers=headers)


async def _first(body: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(body, b"")


def sse(event: Mapping[str, Any]) -> bytes:
    """One server-sent event, as OpenAI's are: only data."""
    return b"data: " + orjson.dumps(event) + b"\n\n"


def event_stream(*events: type[BaseModel], example: str) -> dict[str, Any]:
    """What an OpenAPI page says of a stream of these events."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [_schema(kind) for kind in events]},
    }
    return {"itemSchema": {"type": "object", "properties": {"data": data}, "required": ["data"]}, "example": example}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """With its parts in place: the page's own list of schemas does not know them."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            reference = value.get("$ref")
            found = parts[reference.rpartition("/")[2]] if isinstance(reference, str) else value
            return {key: inlined(part) for key, part in found.items()}
        return [inlined(part) for part in value] if isinstance(value, list) else value

    found = inlined(schema)
    assert isinstance(found, dict)
    return found


async def told(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """`events`, and where they fail after the first, an event that says why. OpenAI's clients raise it as an error."""
    sent = False
    async with contextlib.aclosing(events):
        try:
            async for event in events:
                yield event
                sent = True
        except VoiceAgentError as error:
            if not sent:
                raise
            logger.warning("an event stream failed: %s: %s", error.code, error)
            yield sse({"type": "error", **envelope(str(error), status=status_of(error), code=error.code)})
