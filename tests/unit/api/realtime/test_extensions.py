"""Our own events: documented with examples that are true, and sent only to those who asked."""

import asyncio
import importlib.util
import json
import re
from pathlib import Path

from pydantic import TypeAdapter

from tests.realtime_stage import VAD, RealtimeStage, perform
from voice_agent.api.realtime.extensions import ExtensionEvent

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "reference" / "realtime-extensions.md"
EVENTS: TypeAdapter[ExtensionEvent] = TypeAdapter(ExtensionEvent)


def test_the_schema_file_is_as_the_code_is() -> None:
    spec = importlib.util.spec_from_file_location("extension_schema", ROOT / "scripts" / "extension_schema.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PATH.read_text() == script.text(), "run: python scripts/extension_schema.py"


def test_every_event_has_an_example_that_is_one() -> None:
    examples = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    for example in examples:
        told = {key: value for key, value in example.items() if key != "event_id"}
        assert EVENTS.validate_python(told).model_dump() == told
    assert {example["type"] for example in examples} == set(EVENTS.json_schema()["discriminator"]["mapping"])


def _talk(*, extensions: bool) -> RealtimeStage:
    async def script(talk: RealtimeStage) -> None:
        await talk.says(1.2)
        await talk.until("response.done")
        await asyncio.sleep(1.4)
        talk._loud_s = 0.8  # noise
        await asyncio.sleep(8.0)

    session = {"type": "realtime", "audio": {"input": {"turn_detection": VAD}}}
    return perform(lambda: RealtimeStage(["one two three", ""], session=session, extensions=extensions), script)


def test_they_come_only_when_asked_for() -> None:
    assert not [kind for kind in _talk(extensions=False).types() if kind.startswith("voice_agent")]


def test_a_talk_tells_all_of_them() -> None:
    talk = _talk(extensions=True)
    ours = [seen.event for seen in talk.seen if seen.event["type"].startswith("voice_agent")]
    for event in ours:
        EVENTS.validate_python(event)
    assert {event["type"] for event in ours} == set(EVENTS.json_schema()["discriminator"]["mapping"])


def test_each_word_is_told_once_with_its_time() -> None:
    talk = _talk(extensions=True)
    heard: dict[str, list[str]] = {}
    for event in talk.of("voice_agent.heard"):
        for word in event["words"]:
            heard.setdefault(event["item_id"], []).append(word["text"])
            assert 0 <= word["start_ms"] < word["end_ms"]
            assert word["end_ms"] - word["start_ms"] == 300
        assert event["text"] == " ".join(heard[event["item_id"]])
    assert " ".join(word for words in heard.values() for word in words) == talk.history()[1][1]
