"""Whatever a client sends: an `error` event or nothing, the session lives, and nothing grows without bound."""

import asyncio
import base64
import contextlib
import gc
import json
import logging
import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.realtime_stage import VAD, RealtimeStage, perform
from voice_agent.engines.base import ToolCall
from voice_agent.transports.realtime.client_events import MAX_AUDIO_BASE64, AudioAppend, EventError, parse
from voice_agent.transports.realtime.config import ConfigError, RealtimeConfig, SessionConfig, echoed, first_config, updated

SECRET = "sk-very-secret-0123456789"

KINDS = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.delete",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
    "output_audio_buffer.clear",
    "no.such.event",
]

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))
FIELDS = [
    "session",
    "audio",
    "item",
    "item_id",
    "previous_item_id",
    "content_index",
    "audio_end_ms",
    "response",
    "response_id",
    "event_id",
]
wild_events = st.fixed_dictionaries({"type": st.sampled_from(KINDS) | values}, optional=dict.fromkeys(FIELDS, values))


# ---------------------------------------------------------------- one frame


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_frames_of_anything(frame: bytes | str) -> None:
    with contextlib.suppress(EventError):
        parse(frame)


@given(wild_events)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_events_of_anything(event: dict[str, Any]) -> None:
    with contextlib.suppress(EventError):
        parse(json.dumps(event))


@given(values)
def test_updates_of_anything(update: Any) -> None:
    config = RealtimeConfig(type="realtime")
    if isinstance(update, dict):
        with contextlib.suppress(ConfigError):
            updated(config, update)


def _paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))


FULL = {
    "type": "realtime",
    "tools": [{"type": "function", "name": "f"}],
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "m", "language": "en", "prompt": "p"},
            "turn_detection": {**VAD, "idle_timeout_ms": 5000},
        }
    },
}
WRONG: list[Any] = [None, True, -1, 0, 10**30, 1.5, 1e300, "", "x", "\0", "x" * 40_000]
WRONG += [[], [None], [[]], [{}], {}, {"type": "x"}, {"type": None}, {"a": {}}]


@pytest.mark.parametrize("first", [FULL, {"type": "transcription", "audio": {"input": FULL["audio"]["input"]}}])  # type: ignore[index]
def test_every_field_of_an_update_with_every_wrong_type(first: dict[str, Any]) -> None:
    """It is taken and echoed, or it is refused by name and nothing changes."""
    config = first_config(first)
    for path in _paths(echoed(config, "s")):
        for wrong in WRONG:
            update: Any = wrong
            for key in reversed(path):
                update = {key: update}
            before = config.model_dump_json()
            _taken_or_refused(config, update)
            assert config.model_dump_json() == before


def _taken_or_refused(config: SessionConfig, update: Any) -> None:
    refused: ConfigError | None = None
    try:
        taken = updated(config, update)
    except ConfigError as error:
        refused = error
    if refused is None:
        assert updated(taken, {}) == taken
    else:
        assert refused.param.startswith("session")
        assert len(refused.what) < 1000


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("[" * 100_000, "invalid_json"),
        ('{"type":"session.update","session":' + '{"a":' * 900 + "1" + "}" * 900 + "}", "invalid_value"),
        ('{"type":"session.update","session":{"x":[' + "0," * 100_000 + "0]}}", "invalid_value"),
        ('{"type":"session.update","session":{"instructions":"' + "x" * 2_000_000 + '"}}', "event_too_large"),
        ('{"type":"conversation.item.create","item":{"audio":"' + "A" * 20_000_000 + '"}}', "invalid_value"),
        ('{"type":"input_audio_buffer.append","audio":"' + "A" * (MAX_AUDIO_BASE64 + 4) + '"}', "invalid_value"),
        ('{"type":"input_audio_buffer.append","audio":"' + "A" * 2_000_000, "event_too_large"),
        ('{"type":"input_audio_buffer.append","x":{"audio":"' + "A" * 2_000_000 + '"}}', "missing_required_parameter"),
        ("x" * 20_000_000, "event_too_large"),
        (b"\xff" * 2_000_000, "event_too_large"),
        ("\ud7ff" * 1_500_000, "event_too_large"),
        (b"\xff\xfe", "invalid_json"),
        ("", "invalid_json"),
        ("null", "invalid_json"),
        ('{"type":null}', "missing_required_parameter"),
        ('{"type":"response.cancel","event_id":"' + "x" * 600 + '"}', "invalid_value"),
        ('{"type":"conversation.item.delete","item_id":""}', "invalid_value"),
    ],
    ids=range(17),
)
def test_frames_that_would_cost_much(frame: str | bytes, code: str) -> None:
    began = time.process_time()
    with pytest.raises(EventError) as raised:
        parse(frame)
    assert time.process_time() - began < 0.2
    assert raised.value.code == code
    assert len(raised.value.what) < 1000


# ---------------------------------------------------------------- a session


NAMES = [*(f"item_{number}" for number in range(1, 12)), "item_2_2", "root", "mine", "nobody"]
names = st.sampled_from(NAMES)
messages = st.builds(
    lambda role, words: {
        "type": "message",
        "role": role,
        "content": [{"type": "output_text" if role == "assistant" else "input_text", "text": words}],
    },
    st.sampled_from(["user", "assistant", "system"]),
    st.sampled_from(["Hello.", "", "x"]),
)
functions = st.sampled_from(
    [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]
)
items = st.builds(lambda item, name: {**item, **({"id": name} if name else {})}, messages | functions, st.none() | names)
VARIED: list[dict[str, Any]] = [{"idle_timeout_ms": 1000}, {"interrupt_response": False}, {"create_response": False}]
turn_detections = st.sampled_from([None, VAD, {"type": "semantic_vad"}, *({**VAD, **varied} for varied in VARIED)])
codecs = st.sampled_from([{"type": "audio/pcm", "rate": 24000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}])
updates = st.one_of(
    st.builds(lambda value: {"audio": {"input": {"turn_detection": value}}}, turn_detections),
    st.builds(lambda value: {"audio": {"input": {"format": value}}}, codecs),
    st.builds(lambda value: {"audio": {"output": {"format": value}}}, codecs),
    st.sampled_from(
        [{"output_modalities": ["text"]}, {"output_modalities": ["audio"]}, {"audio": {"input": {"transcription": None}}}]
    ),
    st.sampled_from([{"audio": {"output": {"voice": "nobody"}}}, {"tools": [{"type": "mcp"}]}, {"audio": 7}]),
)
asked = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["none", "auto"]),
        "output_modalities": st.sampled_from([["text"], ["audio"]]),
        "metadata": st.just({"a": "b"}),
        "input": st.lists(items | st.builds(lambda name: {"type": "item_reference", "id": name}, names), max_size=3),
    },
)


def _event(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


tame_events = st.one_of(
    _event("session.update", session=updates),
    _event("input_audio_buffer.commit"),
    _event("input_audio_buffer.clear"),
    st.fixed_dictionaries({"type": st.just("conversation.item.create"), "item": items}, optional={"previous_item_id": names}),
    _event("conversation.item.retrieve", item_id=names),
    _event("conversation.item.delete", item_id=names),
    _event("conversation.item.truncate", item_id=names, content_index=st.just(0), audio_end_ms=st.integers(0, 5000)),
    st.fixed_dictionaries({"type": st.just("response.create")}, optional={"response": asked}),
    _event("response.cancel"),
)
steps = st.one_of(
    tame_events,
    wild_events,
    st.builds(lambda seconds: {"wait": seconds}, st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0])),
    st.builds(lambda seconds: {"say": seconds}, st.sampled_from([0.1, 0.3, 0.8, 1.5])),
    st.builds(lambda size: {"bytes": size}, st.sampled_from([0, 1, 2, 3, 959, 48_001])),
)

SAID = ["one two", "", "mhm", "three four five", "stop", "six"] * 50


def _answers() -> Any:
    kinds = ["I am fine, thanks for asking.", "Yes.", [ToolCall(call_id="c", name="f", arguments="{}")], ""]
    counter = iter(range(10**9))
    return lambda _request: kinds[next(counter) % len(kinds)]


async def _play(talk: RealtimeStage, step: dict[str, Any]) -> None:
    match step:
        case {"wait": seconds}:
            await asyncio.sleep(seconds)
        case {"say": seconds}:
            talk._loud_s = seconds
        case {"bytes": size}:
            audio = base64.b64encode(bytes(size)).decode()
            await talk.adapter.handle(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        case _:
            await talk.adapter.handle(json.dumps(step))


def _alive(talk: RealtimeStage) -> None:
    assert not talk.running.done(), talk.running
    assert not talk._tasks[0].done(), talk._tasks[0]
    assert not talk._tasks[1].done(), talk._tasks[1]


@given(st.lists(steps, max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_talks_of_anything(script: list[dict[str, Any]]) -> None:
    """The oracle looks at every event, and at the end the client's history is the transcript's."""

    async def play(talk: RealtimeStage) -> None:
        for step in script:
            await _play(talk, step)
            _alive(talk)
        await asyncio.sleep(10.0)
        _alive(talk)

    perform(lambda: RealtimeStage(SAID, _answers(), extensions=True), play)


# ---------------------------------------------------------------- much of it


def _wild(chance: random.Random) -> str:
    """Frames that no client should send."""
    return chance.choice(
        [
            "".join(chance.choices('{}[]",:x1', k=chance.randrange(60))),
            json.dumps({"type": "session.update", "session": {"instructions": SECRET, "audio": chance.choice([1, [], "x", None])}}),
            json.dumps({"type": "input_audio_buffer.append", "audio": chance.choice(["!", "A", "AAA=A", "=", "\u00e9", SECRET])}),
            json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(chance.randrange(3000))).decode()}),
            json.dumps({"type": "conversation.item.truncate", "item_id": "x", "content_index": -1, "audio_end_ms": 10**12}),
            '{"type":"session.update","session":' + '{"audio":' * 500 + "1" + "}" * 501,
        ]
    )


def _tame(chance: random.Random) -> str:
    name = chance.choice(NAMES)
    item: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": SECRET}]}
    place = {"previous_item_id": name} if chance.random() < 0.3 else {}
    return json.dumps(
        chance.choice(
            [
                {"type": "conversation.item.create", "item": item, **place},
                {"type": "conversation.item.delete", "item_id": f"item_{chance.randrange(1, 400)}"},
                {"type": "conversation.item.retrieve", "item_id": f"item_{chance.randrange(1, 400)}"},
                {"type": "conversation.item.truncate", "item_id": name, "content_index": 0, "audio_end_ms": 100},
                {"type": "session.update", "session": {"audio": {"input": {"turn_detection": chance.choice([None, VAD])}}}},
                {"type": "input_audio_buffer.commit"},
                {"type": "input_audio_buffer.clear"},
                {"type": "response.create"},
                {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}},
                {"type": "response.cancel"},
            ]
        )
    )


async def _traffic(talk: RealtimeStage, chance: random.Random, events: int) -> None:
    for number in range(events):
        if number % 20 == 0:
            talk._loud_s = chance.choice([0.0, 0.2, 1.0])
            await asyncio.sleep(chance.choice([0.1, 0.5, 2.0]))
        await talk.adapter.handle(_wild(chance) if chance.random() < 0.5 else _tame(chance))
    await talk.adapter.handle(json.dumps({"type": "response.cancel"}))
    talk._loud_s = 0.0
    await asyncio.sleep(10.0)


async def _emptied(talk: RealtimeStage) -> None:
    """Everything that may be kept is given back."""
    for item_id in talk.session.machine.transcript.ids():
        await talk.adapter.handle(json.dumps({"type": "conversation.item.delete", "item_id": item_id}))
    await asyncio.sleep(1.0)
    talk.seen.clear()
    talk.script.clear()
    talk.llm.requests.clear()
    talk.tts.spoken.clear()
    gc.collect()


def test_much_of_anything_leaves_memory_and_tasks_where_they_were(caplog: pytest.LogCaptureFixture) -> None:
    """Fifteen minutes of it, on virtual time."""
    caplog.set_level(logging.DEBUG)
    chance = random.Random(7)
    sizes: list[int] = []

    async def script(talk: RealtimeStage) -> None:
        for _ in range(4):
            await _traffic(talk, chance, 600)
            await _emptied(talk)
            sizes.append(tracemalloc.get_traced_memory()[0])
            # run, transport reader, playout; and of the stage: microphone, reader, script
            assert len(asyncio.all_tasks()) <= 6, asyncio.all_tasks()
            assert talk.outbox.waiting_bytes == 0
        _alive(talk)

    tracemalloc.start()
    try:
        perform(lambda: RealtimeStage(SAID * 20, _answers()), script)
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 1_500_000, sizes
    assert SECRET not in caplog.text


@pytest.mark.parametrize("seed", range(10))
def test_people_who_talk_and_clients_that_edit_at_every_moment(seed: int) -> None:
    """Speech over the agent, pauses, edits of what is being said; slow and fast voices."""
    chance = random.Random(seed)

    def edit(talk: RealtimeStage) -> str:
        kind = chance.choice(["truncate", "retrieve", "delete"])
        place = {"content_index": 0, "audio_end_ms": chance.randrange(3000)}
        return json.dumps({"type": f"conversation.item.{kind}", "item_id": chance.choice(talk.oracle.items[-3:]), **place})

    async def script(talk: RealtimeStage) -> None:
        talk.tts.delay_s = chance.choice([0.0, 0.3, 0.8])
        for _ in range(150):
            dice = chance.random()
            if dice < 0.35:
                talk._loud_s = chance.choice([0.1, 0.3, 0.6, 1.0, 2.0])
            elif dice < 0.75:
                await asyncio.sleep(chance.choice([0.05, 0.1, 0.3, 0.6, 1.0, 2.5]))
            elif talk.oracle.items and dice < 0.85:
                await talk.adapter.handle(edit(talk))
            else:
                await talk.adapter.handle(_tame(chance) if dice < 0.95 else _wild(chance))
            _alive(talk)
        await asyncio.sleep(5.0)

    perform(lambda: RealtimeStage(SAID, _answers(), extensions=True), script)


class Steps:
    """How long the loop is busy between two of its rounds, in seconds of the thread."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._running = True
        self._last = time.thread_time()
        self._tick()

    def _tick(self) -> None:
        now = time.thread_time()
        self.took.append(now - self._last)
        self._last = now
        if self._running:
            asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._running = False

    def at_share(self, share: float) -> float:
        return sorted(self.took)[int(len(self.took) * share)]


def test_ten_thousand_items() -> None:
    """Each costs the loop little, wherever it is put."""
    steps: list[Steps] = []

    async def script(talk: RealtimeStage) -> None:
        talk.oracle.saw = lambda event: None  # type: ignore[method-assign]  # it is the slow one
        steps.append(Steps())
        for number in range(10_000):
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
            place = {"previous_item_id": "root"} if number % 1000 == 999 else {}
            await talk.adapter.handle(json.dumps({"type": "conversation.item.create", "item": item, **place}))
            await asyncio.sleep(0)
        await talk.adapter.transport.do(steps[0].stop)
        await asyncio.sleep(0.01)
        assert len(talk.session.machine.transcript) == 10_000
        await talk.ask("response.create", "response.done")
        talk.oracle.items = [name for name in talk.session.machine.transcript.ids() if talk.adapter._connection.items.is_told(name)]

    perform(lambda: RealtimeStage(muted=True), script)
    assert steps[0].at_share(0.999) < 0.005


def test_much_audio_at_once_does_not_stop_the_others() -> None:
    """15 MiB in one frame: the loop goes on in steps of milliseconds."""
    steps: list[Steps] = []

    async def script(talk: RealtimeStage) -> None:
        event = parse('{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(bytes(15 * 1024 * 1024)).decode() + '"}')
        assert isinstance(event, AudioAppend)
        steps.append(Steps())
        for data in await event.decoded():
            await talk.adapter.transport.receive(data)
        steps[0].stop()
        await asyncio.sleep(0.1)

    perform(lambda: RealtimeStage(muted=True, session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}), script)
    assert steps[0].at_share(0.999) < 0.005
