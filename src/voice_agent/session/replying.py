"""One reply in the making: language model → clauses → speech → playout. Two tasks with a bounded queue between them.

Results go to the machine as events that carry the reply's id; cancelling the run ends generation and synthesis.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import cast

from voice_agent.audio.resample import Resampler
from voice_agent.conversation.clauses import ClauseCutter
from voice_agent.conversation.events import Event, ReplyFailed, ReplyGenerated, ReplyTextAdded, ToolCalled
from voice_agent.engines.base import (
    LlmDelta,
    LlmModel,
    LlmRequest,
    LlmSwitched,
    LlmUsage,
    SpeechChunk,
    SpeechRequest,
    TextDelta,
    ToolCall,
    TtsModel,
)
from voice_agent.errors import EngineFailed
from voice_agent.session.playout import Playout
from voice_agent.session.waterfall import Waterfall

CLAUSE_LIMIT = 8
"""Clauses that may wait for synthesis; the language model is not read beyond that."""

DRAFT_AUDIO_S = 1.5
"""Speech made ahead for a reply that may still be dropped: enough to start at once while the next clause is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """How replies sound. `language` is the one to speak unless the person's is known."""

    voice: str | None = None
    language: str = "en"
    speed: float = 1.0


@dataclass(slots=True)
class ReplyRun:
    """`tokens` counts what the model produced so far (its own count once it tells); `llm_engine` is the "name (model)" that really
    answers."""

    reply_id: int
    session: str
    llm: LlmModel
    tts: TtsModel
    voice: VoiceSettings
    playout: Playout
    waterfall: Waterfall
    post: Callable[[Event], None]
    clock: Callable[[], float]
    speculative: bool = False
    spoken: bool = True
    """False: the reply is text only."""
    tokens: int = 0
    prompt_tokens: int = 0
    calls: int = 0
    llm_engine: str = ""
    _committed: asyncio.Event = field(default_factory=asyncio.Event)

    def commit(self) -> None:
        """It will be heard: synthesise all of it."""
        self._committed.set()

    async def answer(self, request: LlmRequest) -> None:
        """Generates and speaks the answer to `request`."""
        await self._run(self._generated(request))

    async def say(self, text: str) -> None:
        """Speaks a given text."""
        await self._run(_given(text))

    async def _run(self, texts: AsyncGenerator[str, None]) -> None:
        clauses: asyncio.Queue[str | None] = asyncio.Queue(maxsize=CLAUSE_LIMIT)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._cut(texts, clauses))
                group.create_task(self._speak_all(clauses))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # one task failed, the other was cancelled with it
        if not self.playout.total and not self.playout.text_length and not self.calls:
            raise EngineFailed("The reply is empty", engine=self.llm.name, code="reply.empty")
        self.playout.complete(self.reply_id)
        self.post(ReplyGenerated(reply_id=self.reply_id))

    def failed(self, code: str) -> Event:
        """What the machine is told when the run broke; what is there already will be played."""
        partly = self.playout.reply_id == self.reply_id and self.playout.total > 0
        if partly:
            self.playout.complete(self.reply_id, whole=False)
        return ReplyFailed(reply_id=self.reply_id, code=code, partly=partly)

    # ------------------------------------------------------------ text

    async def _generated(self, request: LlmRequest) -> AsyncGenerator[str, None]:
        self.llm_engine = f"{self.llm.name} ({self.llm.model})"
        stream = self.llm.stream(request)
        async with contextlib.aclosing(cast(AsyncGenerator[LlmDelta, None], stream)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        self.waterfall.mark("llm", self.clock())
                        self.tokens += 1
                        yield delta.text
                    case LlmUsage():
                        self.tokens, self.prompt_tokens = delta.completion_tokens, delta.prompt_tokens
                    case LlmSwitched():
                        self.llm_engine = f"{delta.engine} ({delta.model})"
                    case ToolCall():
                        self.calls += 1
                        self.post(
                            ToolCalled(reply_id=self.reply_id, call_id=delta.call_id, name=delta.name, arguments=delta.arguments)
                        )

    async def _cut(self, texts: AsyncGenerator[str, None], clauses: asyncio.Queue[str | None]) -> None:
        cutter = ClauseCutter()
        async with contextlib.aclosing(texts) as pieces:
            async for text in pieces:
                self.post(ReplyTextAdded(reply_id=self.reply_id, text=text))
                for clause in cutter.push(text):
                    await self._hand_over(clause, clauses)
        for clause in cutter.finish():
            await self._hand_over(clause, clauses)
        await clauses.put(None)

    async def _hand_over(self, clause: str, clauses: asyncio.Queue[str | None]) -> None:
        self.waterfall.mark("clause", self.clock())
        await clauses.put(clause)

    # ------------------------------------------------------------ speech

    async def _speak_all(self, clauses: asyncio.Queue[str | None]) -> None:
        while (clause := await clauses.get()) is not None:
            if self.speculative and self.playout.total >= DRAFT_AUDIO_S * self.playout.rate:
                await self._committed.wait()
            await self.playout.room(self.reply_id)
            await self._speak(clause)

    async def _speak(self, clause: str) -> None:
        clause_start, text_start = self.playout.total, self.playout.text_length
        self.playout.add_text(self.reply_id, clause)
        if not self.spoken:
            return
        request = SpeechRequest(text=clause, voice=self.voice.voice, language=self.voice.language, speed=self.voice.speed)
        resampler: Resampler | None = None
        speech = self.tts.speak(request, session=self.session)
        async with contextlib.aclosing(cast(AsyncGenerator[SpeechChunk, None], speech)) as chunks:
            async for chunk in chunks:
                self.waterfall.mark("tts", self.clock())
                if resampler is None:
                    resampler = Resampler(chunk.sample_rate, self.playout.rate)
                pcm = resampler.push(chunk.pcm)
                self.playout.append(self.reply_id, pcm, chunk.words, clause_start=clause_start, text_start=text_start)
        if resampler is not None:
            self.playout.append(self.reply_id, resampler.flush(), (), clause_start=clause_start, text_start=text_start)


async def _given(text: str) -> AsyncGenerator[str, None]:
    yield text
