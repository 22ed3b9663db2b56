"""The OpenAPI page: what FastAPI finds in the routes, with our errors and our keys in place of its own."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from voice_agent.api.security import GUARDED

DESCRIPTION = """
A self-hosted real-time voice agent. Routes under `/v1` are those of OpenAI's API, so its clients work here; `/v1/realtime` is a
WebSocket and speaks the Realtime protocol. Routes under `/api` are our own.

On the machine itself no key is needed; elsewhere send `Authorization: Bearer` with a key of `voice-agent keys create`.
"""


class ErrorBody(BaseModel):
    message: str = Field(examples=["Invalid value for session.audio.output.speed: Input should be less than or equal to 1.5"])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(default=None, description="The field that is wrong.", examples=["session.audio.output.speed"])
    code: str | None = Field(default=None, description="Stable; what programs match on.", examples=["invalid_value"])


class ErrorAnswer(BaseModel):
    """Every error has this form."""

    error: ErrorBody


def install_openapi(app: FastAPI) -> None:
    """Gives `app` the page; made when it is first asked for."""

    def page() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _amended(
                get_openapi(
                    title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
                )
            )
        return app.openapi_schema

    app.openapi = page  # type: ignore[method-assign]  # how FastAPI wants it to be replaced


def _amended(page: dict[str, Any]) -> dict[str, Any]:
    components = page.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    answer = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**answer.pop("$defs"), "ErrorAnswer": answer}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "A key of this server."}}
    for path, operations in page["paths"].items():
        for operation in operations.values():
            _amend(operation, guarded=path.startswith(GUARDED))
    return page


def _amend(operation: dict[str, Any], *, guarded: bool) -> None:
    answers = operation.setdefault("responses", {})
    if answers.pop("422", None) is not None:
        answers["400"] = _error("The request is not valid.")
    if guarded:
        operation["security"] = [{"key": []}, {}]
        answers["401"] = _error("A key is needed, or the one given is not valid.")
        answers["429"] = _error("Too many requests; Retry-After tells when to ask again.")
    answers["default"] = _error("Any other failure.")


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}}
