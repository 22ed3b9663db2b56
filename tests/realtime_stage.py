"""A client of the Realtime protocol and our side of it, on virtual time: scripted engines, every event checked by the oracle."""

import asyncio
import base64
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tests.realtime_oracle import Event, Oracle
from tests.virtual_time import run_virtual
from voice_agent.api.realtime.adapter import RealtimeAdapter
from voice_agent.api.realtime.outbox import Outbox
from voice_agent.audio import g711
from voice_agent.engines.base import Engines, LlmDelta, LlmRequest, TextDelta
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeTts, FakeTurnDetector, FakeVad
from voice_agent.errors import InputError
from voice_agent.session.session import Session
from voice_agent.session.settings import SessionSettings
from voice_agent.transports.realtime.config import first_config

GOLDEN = Path(__file__).parent / "golden" / "realtime"

FRAME_S = 0.02
STEP_S = 0.01

VAD = {"type": "server_vad", "silence_duration_ms": 400}

Answer = str | Exception | list[LlmDelta]


class ScriptedLlm(FakeLlm):
    """An answer may also be what the model streams: text, calls of functions."""

    def __init__(self, answer: Callable[[LlmRequest], Answer] | Answer, *, delay_s: float = 0.1) -> None:
        super().__init__("", delay_s=delay_s)
        self.answer = answer if callable(answer) else lambda _request: answer

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmDelta]:
        answer = self.answer(request)
        if isinstance(answer, list):
            self.requests.append(request)
            await asyncio.sleep(self.delay_s)
            for delta in answer:
                yield delta
            return
        self._answer = lambda _request: answer
        async for delta in super().stream(request):
            yield delta


@dataclass(frozen=True)
class Seen:
    at: float
    event: Event


class RealtimeStage:
    """`async with` connects. The microphone sends silence, or a tone while someone `says` something."""

    def __init__(
        self,
        said: Iterable[str | Exception] = (),
        answer: Callable[[LlmRequest], Answer] | Answer = "I am fine, thanks for asking. What else can I do for you?",
        *,
        session: dict[str, Any] | None = None,
        tts: FakeTts | None = None,
        muted: bool = False,
        extensions: bool = False,
    ) -> None:
        self.llm = ScriptedLlm(answer)
        self.stt = FakeStt(said, delay_s=0.1)
        self.tts = tts or FakeTts()
        self.engines = Engines(vad=FakeVad(), stt=self.stt, turn=FakeTurnDetector(0.97), llm=self.llm, tts=self.tts)
        self.outbox = Outbox()
        self.oracle = Oracle()
        self.seen: list[Seen] = []
        self.script: list[dict[str, Any]] = []
        self._session_config = {"type": "realtime", "audio": {"input": {"turn_detection": VAD}}} if session is None else session
        self._extensions = extensions
        self._muted = muted
        self._loud_s = 0.0
        self._ids = itertools.count(1)

    def _voice_of(self, name: str) -> str | None:
        if name not in {"alloy", "tone", "other"}:
            raise InputError(f"Unknown voice {name!r}", code="tts.unknown_voice")
        return None if name == "alloy" else name

    async def __aenter__(self) -> "RealtimeStage":
        self._before = asyncio.all_tasks()
        self.adapter = RealtimeAdapter(
            "sess_stage",
            config=first_config(self._session_config),
            base=SessionSettings(),
            voice_of=self._voice_of,
            outbox=self.outbox,
            with_extensions=self._extensions,
        )
        self.session = Session(
            "sess_stage",
            engines=self.engines,
            transport=self.adapter.transport,
            settings=self.adapter.settings(),
            observer=self.adapter.observe,
        )
        self.adapter.attach(self.session)
        self.running = asyncio.ensure_future(self.session.run())
        self._tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._speak())]
        await self.until("session.created")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.session.aclose()
        await self.adapter.aclose()
        await self.running
        await asyncio.sleep(0)
        drained = asyncio.ensure_future(self.outbox.drained())
        await asyncio.wait([drained, self._tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        if error is None:
            self.oracle.check_rest()
            self.check_items()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == self._before, "tasks are left"

    def check_items(self) -> None:
        """The client's history is the transcript's: pieces of a reply stand together, in its place."""
        known = self.adapter._connection.items
        ids = [known._id_of.get(name, name) for name in self.oracle.items]
        assert [item_id for item_id, _ in itertools.groupby(ids)] == [
            item_id for item_id in self.session.machine.transcript.ids() if known.is_told(item_id)
        ]

    async def _read(self) -> None:
        while True:
            event = json.loads(await self.outbox.next())
            self.seen.append(Seen(asyncio.get_running_loop().time(), event))
            self.script.append({"from": "server", "event": event})
            self.oracle.saw(event)

    # ------------------------------------------------------------ the microphone

    async def _speak(self) -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            if not self._muted:
                await self.append(FRAME_S, loud=self._loud_s > 0.0)
                self._loud_s = max(0.0, self._loud_s - FRAME_S)

    async def append(self, seconds: float, *, loud: bool = True) -> None:
        """Audio, at once."""
        await self.send("input_audio_buffer.append", audio=base64.b64encode(self.audio(seconds, loud=loud)).decode())

    def audio(self, seconds: float, *, loud: bool) -> bytes:
        codec = self.adapter._connection.config.audio.input.format.type
        rate = 24_000 if codec == "audio/pcm" else 8_000
        tone = 0.1 * np.sin(np.arange(round(seconds * rate)) * (4800 / rate)) if loud else np.zeros(round(seconds * rate))
        pcm = np.asarray(tone * 32767.0, dtype=np.int16)
        if codec == "audio/pcm":
            return pcm.astype("<i2").tobytes()
        return g711.encode_ulaw(pcm) if codec == "audio/pcmu" else g711.encode_alaw(pcm)

    async def says(self, seconds: float) -> None:
        """Speaks; returns when it has been said."""
        self._loud_s = seconds
        await asyncio.sleep(seconds)

    # ------------------------------------------------------------ the client

    async def send(self, kind: str, **fields: Any) -> str:
        event = {"type": kind, "event_id": f"c{next(self._ids)}", **fields}
        if kind != "input_audio_buffer.append":
            self.script.append({"from": "client", "event": event})
        await self.adapter.handle(json.dumps(event))
        return str(event["event_id"])

    async def ask(self, kind: str, answer: str, **fields: Any) -> Event:
        """Sends, and waits for the answer."""
        start = len(self.seen)
        await self.send(kind, **fields)
        return await self.until(answer, start=start)

    async def refused(self, kind: str, **fields: Any) -> Event:
        """Sends what is answered with an error. Returns that, without its envelope."""
        start = len(self.seen)
        event_id = await self.send(kind, **fields)
        error = await self.until("error", start=start)
        assert error["error"]["event_id"] == event_id
        return dict(error["error"])

    async def update(self, **session: Any) -> Event:
        """Returns the session that is echoed."""
        answer = await self.ask("session.update", "session.updated", session={"type": "realtime", **session})
        return dict(answer["session"])

    async def write(self, text: str, **fields: Any) -> str:
        """A user's message by text. Returns its id."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        answer = await self.ask("conversation.item.create", "conversation.item.done", item=item, **fields)
        return str(answer["item"]["id"])

    async def until(self, kind: str, *, start: int | None = None, within_s: float = 40.0) -> Event:
        """The next event of this type, from now on (or from the `start`-th)."""
        place = len(self.seen) if start is None and kind != "session.created" else start or 0
        async with asyncio.timeout(within_s):
            while True:
                for seen in self.seen[place:]:
                    if seen.event["type"] == kind:
                        return seen.event
                place = len(self.seen)
                assert not self._tasks[0].done(), self._tasks[0].exception()
                await asyncio.sleep(STEP_S)

    # ------------------------------------------------------------ what there is to see

    def types(self, *, start: int = 0) -> list[str]:
        """In order; deltas of one kind that follow each other count once."""
        kinds = [seen.event["type"] for seen in self.seen[start:]]
        merged: list[str] = []
        for kind in kinds:
            if not (kind.endswith(".delta") and kind in merged[-2:]):
                merged.append(kind)
        return merged

    def of(self, kind: str) -> list[Event]:
        return [seen.event for seen in self.seen if seen.event["type"] == kind]

    def responses(self) -> list[Event]:
        return [event["response"] for event in self.of("response.done")]

    def audio_bytes(self) -> int:
        return sum(len(base64.b64decode(event["delta"])) for event in self.of("response.output_audio.delta"))

    def history(self) -> list[tuple[str, str]]:
        return [(item.role, item.text) for item in self.session.machine.transcript]

    # ------------------------------------------------------------ golden files

    def check_golden(self, name: str) -> None:
        """The whole talk, as it stands in tests/golden/realtime. UPDATE_GOLDEN=1 writes it anew."""
        path = GOLDEN / f"{name}.json"
        told = json.dumps({"talk": name, "script": [_normal(entry) for entry in self.script]}, indent=1, ensure_ascii=False) + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(told)
        assert path.read_text() == told, "the talk has changed; UPDATE_GOLDEN=1 pytest tests/unit/api/realtime writes it anew"


def _normal(entry: dict[str, Any]) -> dict[str, Any]:
    """Audio is left out: a parser does not look at it."""
    event = entry["event"]
    short = {**event, "delta": "AAAA"} if event["type"] == "response.output_audio.delta" else event
    return {"from": entry["from"], "event": short}


def text(words: str) -> list[LlmDelta]:
    """As a model streams it."""
    return [TextDelta(text=word if number == 0 else " " + word) for number, word in enumerate(words.split())]


def perform(
    stage: Callable[[], RealtimeStage], script: Callable[[RealtimeStage], Awaitable[None]], *, golden: str = ""
) -> RealtimeStage:
    """Plays the script on the stage, on virtual time, to its end."""

    async def play() -> RealtimeStage:
        made = stage()
        async with made:
            await script(made)
        return made

    done = run_virtual(play())
    if golden:
        done.check_golden(golden)
    return done
