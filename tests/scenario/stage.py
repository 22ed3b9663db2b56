"""A session on virtual time: people and engines of a script, and a tape of what the agent was heard to say.

The voice on the stage is coded: each word is a level of its own, so that the tape tells which words were heard, and how long.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np

from tests.virtual_time import run_virtual
from voice_agent.audio.pcm import Pcm16, Samples
from voice_agent.conversation import effects as do
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.engines.base import INPUT_RATE, Engines, SpeechChunk, SpeechRequest
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeTts, FakeTurnDetector, FakeVad
from voice_agent.session.listening import ListeningSettings
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed, Session
from voice_agent.session.settings import SessionSettings
from voice_agent.transports.base import AudioInput, Input, Presence
from voice_agent.transports.in_memory import OUTPUT_RATE, InMemoryTransport, Tap

E = TypeVar("E")

CLOSES_WITHIN_S = 2.0
STEP_S = 0.01
BASE_LEVEL, LEVEL_STEP = 1000, 50


def loud(seconds: float) -> Samples:
    """An open mouth: a square wave has energy above 1 kHz too. A sine alone would be humming."""
    samples = np.arange(round(seconds * INPUT_RATE))
    return np.where(np.sin(samples * 0.2) >= 0.0, 0.1, -0.1).astype(np.float32)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * INPUT_RATE), dtype=np.float32)


class CodedTts(FakeTts):
    """The n-th word that is ever spoken is a constant level; `lexicon` tells which."""

    def __init__(self, *, word_s: float = 0.3, delay_s: float = 0.0, fail: Exception | None = None) -> None:
        super().__init__(word_s=word_s, delay_s=delay_s, fail=fail)
        self.lexicon: dict[int, str] = {}

    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        async for chunk in super().speak(request, session=session):
            level = BASE_LEVEL + LEVEL_STEP * len(self.lexicon)
            self.lexicon[level] = chunk.words[0].text
            yield SpeechChunk(pcm=np.full_like(chunk.pcm, level), sample_rate=chunk.sample_rate, words=chunk.words)


class StageTransport(InMemoryTransport):
    """Microphones can be muted (their streams stop), speakers come and go, and audio can come in any blocks."""

    def __init__(self, *, speakers: tuple[str, ...], tap: Tap) -> None:
        super().__init__(speakers=speakers, tap=tap)
        self._muted: set[str] = set()

    def _put(self, item: Input) -> None:
        if not (isinstance(item, AudioInput) and item.speaker in self._muted):
            super()._put(item)

    def mute(self, speaker: str = "user") -> None:
        self._muted.add(speaker)

    def unmute(self, speaker: str = "user") -> None:
        self._muted.discard(speaker)

    def send_audio(self, samples: Samples, speaker: str = "user") -> None:
        """Besides the muted microphone."""
        super()._put(AudioInput(speaker=speaker, samples=samples))

    def leave(self, speaker: str) -> None:
        self._put(Presence(speaker=speaker, joined=False))
        self.mute(speaker)

    def join(self, speaker: str) -> None:
        self._put(Presence(speaker=speaker, joined=True))
        self.unmute(speaker)


@dataclass(frozen=True)
class Heard:
    """A word as it was heard, possibly cut; times in seconds of the tape."""

    word: str
    start_s: float
    end_s: float


class Stage:
    """`async with` runs the session; leaving closes it and fails if that takes too long or leaves something behind."""

    def __init__(
        self,
        said: Iterable[str | Exception] = (),
        *,
        stt: FakeStt | None = None,
        llm: FakeLlm | None = None,
        tts: CodedTts | None = None,
        turn: FakeTurnDetector | None = None,
        conversation: ConversationSettings | None = None,
        listening: ListeningSettings | None = None,
        vad: FakeVad | None = None,
        transport: StageTransport | None = None,
        speakers: tuple[str, ...] = ("user",),
    ) -> None:
        self.stt = stt or FakeStt(said, delay_s=0.1)
        self.llm = llm or FakeLlm("I am fine, thanks for asking. What else can I do for you?", delay_s=0.1, word_delay_s=0.01)
        self.tts = tts or CodedTts()
        self.transport = transport or StageTransport(speakers=speakers, tap=self._tap)
        self.seen: list[tuple[float, Observed]] = []
        self.microphone: list[Samples] = []
        self.loudspeaker: list[Pcm16] = []
        self.on_observed: Callable[[Observed], None] = lambda _what: None
        engines = Engines(vad=vad or FakeVad(), stt=self.stt, turn=turn or FakeTurnDetector(0.97), llm=self.llm, tts=self.tts)
        self.session = Session(
            "stage",
            engines=engines,
            transport=self.transport,
            settings=SessionSettings(
                conversation=conversation or ConversationSettings(), listening=listening or ListeningSettings()
            ),
            observer=self._observe,
        )
        self.closing_took_s = 0.0
        self._running: asyncio.Task[None] | None = None

    def _tap(self, microphone: Samples, loudspeaker: Pcm16) -> None:
        self.microphone.append(microphone)
        self.loudspeaker.append(loudspeaker)

    def _observe(self, now: float, what: Observed) -> None:
        self.seen.append((now, what))
        self.on_observed(what)

    async def __aenter__(self) -> "Stage":
        self._before = asyncio.all_tasks()
        self._running = asyncio.ensure_future(self.session.run())
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._running is not None
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.session.aclose()
        await self._running
        self.closing_took_s = loop.time() - began
        if error is None:
            assert self.closing_took_s <= CLOSES_WITHIN_S
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == self._before, "the session left tasks behind"

    # ------------------------------------------------------------ what people do

    async def says(self, *parts: Samples, speaker: str = "user") -> None:
        """Speaks; returns when it has been said."""
        self.transport.say(np.concatenate(parts), speaker=speaker)
        await self._until(lambda: not self.transport.is_speaking(speaker))

    @staticmethod
    async def _until(condition: Callable[[], bool]) -> None:
        while True:
            if condition():
                return
            await asyncio.sleep(STEP_S)

    async def until(self, kind: type[E], *, within_s: float = 30.0) -> E:
        """The next event, effect or report of this kind, from now on."""
        return await self.until_true(lambda what: what if isinstance(what, kind) else None, within_s=within_s)

    async def until_true(self, wanted: Callable[[Observed], E | None], *, within_s: float = 30.0) -> E:
        start = len(self.seen)
        async with asyncio.timeout(within_s):
            while True:
                for _, what in self.seen[start:]:
                    if (found := wanted(what)) is not None:
                        return found
                start = len(self.seen)
                await asyncio.sleep(STEP_S)

    async def until_ended(self) -> None:
        """The session has ended by itself."""
        assert self._running is not None
        await asyncio.wait([self._running], timeout=CLOSES_WITHIN_S)
        assert self._running.done()

    async def until_heard(self, words: int) -> None:
        """Until so many words have been heard completely."""
        whole_s = self.tts.word_s - 0.001
        await self._until(lambda: sum(heard.end_s - heard.start_s >= whole_s for heard in self.heard()) >= words)

    # ------------------------------------------------------------ what there is to see

    def of(self, kind: type[E]) -> list[E]:
        return [what for _, what in self.seen if isinstance(what, kind)]

    def reports(self) -> list[TurnReport]:
        return self.of(TurnReport)

    def user_turns(self) -> list[str]:
        return [commit.text for commit in self.of(do.CommitTurn)]

    def history(self) -> list[tuple[str, str]]:
        return [(item.role, item.text) for item in self.session.machine.transcript]

    def heard(self) -> list[Heard]:
        """What was on the loudspeaker, word by word, pieces of words included."""
        tape = np.concatenate(self.loudspeaker) if self.loudspeaker else np.zeros(0, dtype=np.int16)
        edges = [0, *(np.flatnonzero(np.diff(tape)) + 1).tolist(), tape.size]
        return [
            Heard(self.tts.lexicon[int(tape[start])], start / OUTPUT_RATE, end / OUTPUT_RATE)
            for start, end in itertools.pairwise(edges)
            if start < tape.size and tape[start]
        ]

    def heard_words(self) -> list[str]:
        return [heard.word for heard in self.heard()]

    def onsets_s(self) -> list[float]:
        """Where somebody begins to be loud on the microphones' tape."""
        tape = np.abs(np.concatenate(self.microphone)) > 0.01
        blocks = tape[: tape.size // 320 * 320].reshape(-1, 320).any(axis=1).astype(np.int8)
        return [float(block) * 0.02 for block in np.flatnonzero(np.diff(blocks, prepend=0) == 1)]

    def last_heard_s(self) -> float:
        return self.heard()[-1].end_s


def perform(stage: Callable[[], Stage], script: Callable[[Stage], Awaitable[None]]) -> Stage:
    """Plays the script on the stage, on virtual time, to its end."""

    async def play() -> Stage:
        made = stage()
        async with made:
            await script(made)
        return made

    return run_virtual(play())
