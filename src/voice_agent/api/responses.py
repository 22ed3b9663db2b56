"""Answers that are made by hand, such as errors; routes with a response model are serialised by FastAPI itself."""

import json
from typing import Any

import orjson
from starlette.responses import Response


class JsonResponse(Response):
    """`content` as JSON by orjson, or, where it repeats text that is no Unicode, in ASCII."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        try:
            return orjson.dumps(content)
        except TypeError:
            return json.dumps(content).encode()
