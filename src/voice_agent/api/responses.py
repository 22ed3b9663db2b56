"""Answers that are made by hand, such as errors; routes with a response model are serialised by FastAPI itself."""

from typing import Any

import orjson
from starlette.responses import Response


class JsonResponse(Response):
    """`content` as JSON by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
