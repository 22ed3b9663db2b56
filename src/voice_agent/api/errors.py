"""Every failure leaves as the OpenAI envelope: {"error": {"message", "type", "param", "code"}}.

Raise an error of errors.py in a route or a dependency and it becomes the right status; before a WebSocket is accepted it
becomes the HTTP answer to its handshake. What nobody expected is answered at the border (border.py).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from voice_agent.api.responses import JsonResponse
from voice_agent.errors import (
    AccessError,
    EngineError,
    EngineTimeout,
    EngineUnavailable,
    InputError,
    ModelError,
    OverloadedError,
    SettingsError,
    VoiceAgentError,
)

logger = logging.getLogger(__name__)

ACCESS_STATUS = {"access.no_key": 401, "access.bad_key": 401, "access.too_many_requests": 429, "input.too_large": 413}
"""Of access errors that are not 403."""

INPUT_STATUS = {"not_found": 404, "input.too_large": 413, "input.unsupported_media_type": 415}
"""Of input errors that are not 400."""

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""`type` of other client errors is "invalid_request_error", of all others "server_error"."""

MAX_MESSAGE, MAX_PARAM = 1000, 200
"""Characters; a message may repeat what the client sent."""

CLOSE_INTERNAL = 1011


def status_of(error: VoiceAgentError) -> int:
    """The HTTP status that tells whose fault it is."""
    match error:
        case AccessError():
            return ACCESS_STATUS.get(error.code, 403)
        case SettingsError():
            return 500
        case InputError():
            return INPUT_STATUS.get(error.code, 400)
        case OverloadedError() | EngineUnavailable() | ModelError():
            return 503
        case EngineTimeout():
            return 504
        case EngineError():
            return 502
        case _:
            return 500


def envelope(message: str, *, status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    shown, where = _shortened(message, MAX_MESSAGE), _shortened(param, MAX_PARAM) if param is not None else None
    return {"error": {"message": shown, "type": kind, "param": where, "code": code}}


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def error_response(error: VoiceAgentError) -> Response:
    """The answer to a request that ended with `error`."""
    status = status_of(error)
    return JsonResponse(
        envelope(str(error), status=status, code=error.code, param=getattr(error, "param", None)),
        status_code=status,
        headers=_headers(error, status),
    )


def _headers(error: VoiceAgentError, status: int) -> dict[str, str]:
    headers = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def known_error(error: BaseException) -> VoiceAgentError | None:
    """The error of ours that `error` is or, where it comes from a task group, holds."""
    if isinstance(error, VoiceAgentError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(known_error, error.exceptions)), None)
    return None


def install_error_handlers(app: FastAPI) -> None:
    handlers: dict[type[Exception], Any] = {  # Any: starlette's type is one for requests or one for sockets, these are both
        VoiceAgentError: _on_known,
        RequestValidationError: _on_invalid,
        WebSocketRequestValidationError: _on_invalid,
        HTTPException: _on_http,
        ExceptionGroup: _on_group,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _on_known(connection: Request | WebSocket, error: Exception) -> Response | None:
    assert isinstance(error, VoiceAgentError)
    if status_of(error) >= 500 and not isinstance(error, OverloadedError):
        logger.warning("%s %s: %s: %s", connection.scope["type"], connection.url.path, error.code, error)
    connection.state.error_code = error.code  # for the border, which counts
    return await _answer(connection, error_response(error))


async def _on_group(connection: Request | WebSocket, error: Exception) -> Response | None:
    """Several tasks at once, such as the choice of the engines; the first failure of ours speaks for all."""
    known = known_error(error)
    if known is None:
        raise error
    return await _on_known(connection, known)


async def _on_invalid(connection: Request | WebSocket, error: Exception) -> Response | None:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)
    first = error.errors()[0]
    param = _param(first["loc"])
    message = f"Invalid value for {param}: {first['msg']}" if param else f"The request cannot be read: {first['msg']}"
    return await _answer(
        connection, JsonResponse(envelope(message, status=400, code="invalid_value", param=param), status_code=400)
    )


def _param(where: Sequence[Any]) -> str | None:
    """ "body.session.type" without where it stood; None for the body itself, which is no parameter."""
    steps = [str(step) for step in where[1:]]
    return ".".join(steps) or None if not (where[:1] == ("body",) and all(step.isdigit() for step in steps)) else None


async def _on_http(connection: Request | WebSocket, error: Exception) -> Response | None:
    """404 and 405 of the router, and what routes raise as `HTTPException`."""
    assert isinstance(error, HTTPException)
    message, code = str(error.detail), None
    if error.status_code == 404:
        message, code = f"There is nothing at {connection.url.path}", "not_found"
    elif error.status_code == 405:
        message, code = f"{connection.scope.get('method', '')} is not possible at {connection.url.path}", "method_not_allowed"
    headers: Mapping[str, str] | None = error.headers
    response = JsonResponse(
        envelope(message, status=error.status_code, code=code), status_code=error.status_code, headers=dict(headers or {})
    )
    return await _answer(connection, response)


async def _answer(connection: Request | WebSocket, response: Response) -> Response | None:
    """A WebSocket is answered here: by HTTP while its handshake waits, else by closing it."""
    if not isinstance(connection, WebSocket):
        return response
    if connection.application_state is WebSocketState.CONNECTING:
        await connection.send_denial_response(response)
    elif connection.application_state is WebSocketState.CONNECTED:
        await connection.close(CLOSE_INTERNAL)
    return None
