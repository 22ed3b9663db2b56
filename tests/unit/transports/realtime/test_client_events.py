"""Frames of clients, at the border."""

import base64
import json
from typing import Any

import pytest

from tests.virtual_time import run_virtual
from voice_agent.transports.realtime import client_events as asks
from voice_agent.transports.realtime.client_events import BASE64_STEP, MAX_EVENT, EventError, parse


def frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": "e1", **fields})


def append(audio: str) -> asks.AudioAppend:
    event = parse(frame("input_audio_buffer.append", audio=audio))
    assert isinstance(event, asks.AudioAppend)
    return event


@pytest.mark.parametrize("size", [0, 1, 960, BASE64_STEP, MAX_EVENT * 2])
def test_audio_of_any_length(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    event = append(base64.b64encode(data).decode())
    assert event.event_id == "e1"
    assert b"".join(run_virtual(event.decoded())) == data


def test_large_audio_may_come_as_bytes_and_with_slashes_escaped() -> None:
    data = b"\xff" * (2 * MAX_EVENT)
    text = frame("input_audio_buffer.append", audio=base64.b64encode(data).decode()).replace("/", "\\/")
    event = parse(text.encode())
    assert isinstance(event, asks.AudioAppend)
    assert b"".join(run_virtual(event.decoded())) == data


LONG = "A" * (BASE64_STEP - 4)


@pytest.mark.parametrize("audio", ["A", "AA=A", "!!!!", "é", "AA==AAAA", f"{LONG}AA==AAAA", f"{LONG}AAA=" * 8 + "A", "\n"])
def test_what_is_not_base64(audio: str) -> None:
    with pytest.raises(EventError) as raised:
        run_virtual(append(audio).decoded())
    assert (raised.value.param, raised.value.event_id) == ("audio", "e1")


TRUNCATE = {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}
JUDGE = {"type": "message", "role": "judge", "content": []}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "missing_required_parameter", "type"),
        ({"type": "conversation.item.retrieve"}, "missing_required_parameter", "item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": -1},
            "invalid_value",
            "audio_end_ms",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "judge", "content": []}},
            "invalid_value",
            "item.message.role",
        ),
        ({"type": "no.such"}, "invalid_value", "type"),
        ({"type": "session.update", "session": []}, "invalid_value", "session"),
        ({"type": "response.create", "response": {"metadata": {"a": 1}}}, "invalid_value", "response.metadata.a"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ],
)
def test_what_is_wrong_is_named(event: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(EventError) as raised:
        parse(json.dumps({"event_id": "e1", **event}))
    assert (raised.value.code, raised.value.param, raised.value.event_id) == (code, param, "e1")


def test_the_words_of_a_message() -> None:
    content = [
        {"type": "input_text", "text": "one"},
        {"type": "input_image", "image_url": "data:"},
        {"type": "input_audio", "audio": "AAAA", "transcript": "two"},
        {"type": "input_audio", "audio": "AAAA"},
    ]
    event = parse(frame("conversation.item.create", item={"type": "message", "role": "user", "content": content}))
    assert isinstance(event, asks.ItemCreate)
    assert isinstance(event.item, asks.MessageItem)
    assert event.item.text == "one\ntwo"


@pytest.mark.parametrize("voice", ["tone", {"id": "tone"}])
def test_the_voice_of_a_response(voice: Any) -> None:
    event = parse(frame("response.create", response={"audio": {"output": {"voice": voice}}, "conversation": None}))
    assert isinstance(event, asks.ResponseCreate)
    assert event.response is not None
    assert event.response.voice == "tone"
    assert asks.ResponseParams().voice is None


@pytest.mark.parametrize("response", [{}, {"response": None}])
def test_a_response_without_wishes(response: dict[str, Any]) -> None:
    assert isinstance(parse(frame("response.create", **response)), asks.ResponseCreate)
