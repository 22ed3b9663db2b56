"""Which model hub, and with which token. Apart from `hub`, which needs an HTTP client that takes long to load."""

import os
from dataclasses import dataclass, field

DEFAULT_HUB_URL = "https://huggingface.co"

HUB_UNREACHABLE = "model.hub_unreachable"
"""The code of the error when there is no way to the hub at all."""

FIRST_PAUSE_S = 0.5
"""Before the second attempt at a file; doubled each time."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """`token` stands in no message and in no representation."""

    url: str
    token: str | None = field(default=None, repr=False)
    first_pause_s: float = FIRST_PAUSE_S


def hub_url_from_environment() -> str:
    """$HF_ENDPOINT names a mirror."""
    return os.environ.get("HF_ENDPOINT", "").strip() or DEFAULT_HUB_URL


def hub_token_from_environment() -> str | None:
    return os.environ.get("HF_TOKEN", "").strip() or None
