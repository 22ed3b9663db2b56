"""Writes the JSON Schema of our extensions of the Realtime protocol: python scripts/extension_schema.py

The web page's types are made from it; a test checks that it is as the code is.
"""

import json
from pathlib import Path

from voice_agent.api.realtime.extensions import extension_schema

PATH = Path(__file__).parents[1] / "docs" / "reference" / "realtime-extensions.schema.json"


def text() -> str:
    """What stands in the file."""
    return json.dumps(extension_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
