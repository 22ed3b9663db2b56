"""From a thread that synthesises to a loop that plays: chunks leave while the rest is still being made."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeAlias

import numpy as np

from voice_agent.engines.admission import Lane, Priority, Stop
from voice_agent.engines.base import SpeechChunk, Word
from voice_agent.errors import VoiceAgentError

Emit: TypeAlias = Callable[[SpeechChunk], None]

Synthesise: TypeAlias = Callable[[str, Stop, Emit], tuple[Word, ...]]
"""Blocking: speaks one piece of text, emitting its chunks with times from the piece's start. Ends soon after `Stop` is set.
Returns the words of a piece that had nothing to say (no chunk), else ()."""


async def speak_pieces(
    lane: Lane, parts: Iterable[str], synthesise: Synthesise, *, session: str
) -> AsyncGenerator[SpeechChunk, None]:
    """The chunks of all parts on one clock.

    A part is a job of its own: the thread never waits for a slow listener (other sessions need it), and what it can be ahead of
    the listener is bounded by one part.
    """
    offset_s, rate = 0.0, 0
    unsaid: tuple[Word, ...] = ()  # words of parts with nothing to say, told with the next chunk
    for part in parts:
        part_s, silent = 0.0, list[Word]()
        async with contextlib.aclosing(_speak_part(lane, part, synthesise, silent, session=session)) as chunks:
            async for chunk in chunks:
                rate = chunk.sample_rate
                yield SpeechChunk(pcm=chunk.pcm, sample_rate=rate, words=unsaid + _later(chunk.words, offset_s))
                unsaid = ()
                part_s += chunk.pcm.size / rate
        offset_s += part_s
        unsaid += _later(silent, offset_s)
    if unsaid and rate:
        yield SpeechChunk(pcm=np.zeros(0, dtype=np.int16), sample_rate=rate, words=unsaid)


def _later(words: Iterable[Word], offset_s: float) -> tuple[Word, ...]:
    return tuple(Word(text=word.text, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s) for word in words)


async def _speak_part(
    lane: Lane, part: str, synthesise: Synthesise, silent: list[Word], *, session: str
) -> AsyncGenerator[SpeechChunk, None]:
    loop = asyncio.get_running_loop()
    feed: asyncio.Queue[SpeechChunk | None] = asyncio.Queue()  # holds one part at most, see above

    def emit(chunk: SpeechChunk) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody listens
            loop.call_soon_threadsafe(feed.put_nowait, chunk)

    async def work() -> None:
        try:
            silent.extend(await lane.run(lambda stop: synthesise(part, stop, emit), priority=Priority.FINAL, session=session))
        finally:
            feed.put_nowait(None)

    task = asyncio.create_task(work(), name="speak")  # owned by this generator, which ends it below
    try:
        while (chunk := await feed.get()) is not None:
            yield chunk
        await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, VoiceAgentError):
            await task
