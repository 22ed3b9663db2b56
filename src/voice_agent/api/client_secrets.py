"""Short-lived keys for browsers: `POST /v1/realtime/client_secrets` with a real key gives one that opens one kind of session.

They live in this process's memory and are gone when it ends.
"""

import hashlib
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends
from fastapi.requests import HTTPConnection
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from voice_agent.api.caller import Caller, ClientSecret
from voice_agent.api.deps import CallerDep
from voice_agent.transports.realtime.config import SessionConfig, echoed, first_config

PREFIX = "ek_"

DEFAULT_SECONDS = 600
"""As OpenAI has it."""

MAX_SECRETS = 10_000
"""Kept at the same time; past that the oldest goes."""


class SecretStore:
    """Client secrets that have not expired. A secret may be used until then, as often as its holder reconnects."""

    def __init__(self, *, clock: Callable[[], float] = time.time, most: int = MAX_SECRETS) -> None:
        self._clock = clock
        self._most = most
        self._secrets: OrderedDict[str, ClientSecret] = OrderedDict()

    def __len__(self) -> int:
        return len(self._secrets)

    def create(self, config: SessionConfig, *, seconds: int, caller: Caller) -> ClientSecret:
        self._forget_expired()
        if len(self._secrets) >= self._most:
            self._secrets.popitem(last=False)
        expires_at = int(self._clock()) + seconds
        secret = ClientSecret(value=PREFIX + secrets.token_urlsafe(32), expires_at=expires_at, config=config, key_id=caller.key_id)
        self._secrets[_digest(secret.value)] = secret
        return secret

    def find(self, value: str) -> ClientSecret | None:
        """Looked up by its hash, whose place in the table tells nothing about the value."""
        secret = self._secrets.get(_digest(value))
        return secret if secret is not None and secret.expires_at > self._clock() else None

    def _forget_expired(self) -> None:
        now = self._clock()
        for digest in [digest for digest, secret in self._secrets.items() if secret.expires_at <= now]:
            del self._secrets[digest]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


# ---------------------------------------------------------------- the route


class ExpiresAfter(BaseModel):
    model_config = ConfigDict(extra="ignore")

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(default=DEFAULT_SECONDS, ge=10, le=7200, description="How long the secret is good for.")


class SecretRequest(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "expires_after": {"anchor": "created_at", "seconds": 600},
                    "session": {"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "alloy"}}},
                }
            ]
        },
    )

    expires_after: ExpiresAfter = Field(default_factory=ExpiresAfter)
    session: dict[str, JsonValue] = Field(
        default_factory=dict, description="The session's configuration, as in `session.update`. It is bound to the secret."
    )

    @field_validator("session")
    @classmethod
    def _can_be_sent_back(cls, session: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """The configuration is echoed; JSON can be written that cannot be sent again (half of a surrogate pair)."""
        try:
            orjson.dumps(session)
        except TypeError as error:
            raise ValueError(f"cannot be repeated: {error}") from None
        return session


class SecretAnswer(BaseModel):
    """`value` is the key for the browser; `session` the whole configuration that it stands for."""

    value: str = Field(examples=["ek_Zx9…"])
    expires_at: int = Field(description="Unix time in seconds.", examples=[1767225600])
    session: dict[str, Any]


def _store(connection: HTTPConnection) -> SecretStore:
    store = connection.app.state.secrets
    assert isinstance(store, SecretStore)
    return store


SecretsDep = Annotated[SecretStore, Depends(_store)]

router = APIRouter(tags=["realtime"])


@router.post("/v1/realtime/client_secrets", summary="Make a short-lived key for a browser")
async def create_client_secret(caller: CallerDep, store: SecretsDep, request: SecretRequest | None = None) -> SecretAnswer:
    """The key opens `/v1/realtime` and nothing else, with the configuration given here, until it expires."""
    request = request or SecretRequest()
    config = first_config(dict(request.session))
    secret = store.create(config, seconds=request.expires_after.seconds, caller=caller)
    session_id = f"sess_{uuid.uuid4().hex[:24]}"
    return SecretAnswer(
        value=secret.value, expires_at=secret.expires_at, session=echoed(config, session_id, expires_at=secret.expires_at)
    )
