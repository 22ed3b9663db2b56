"""One turn of one speaker on any engine: interim texts on a growing buffer, finals first, bounded for turns of any length.

How a long turn stays cheap: text is *frozen* (kept, its audio forgotten) up to the boundary of an earlier final, which lies in a
pause, once the buffer is longer than 10 s; where there was no pause for 16 s, at the quietest moment (windows.py). What
follows is always decoded anew as a whole, so that a word may still change when more of its sentence is heard.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from voice_agent.engines.admission import Lane, Priority, Stop
from voice_agent.engines.base import INPUT_RATE, Samples, Transcript
from voice_agent.engines.stt.buffer import SpeechBuffer
from voice_agent.engines.stt.frozen import Frozen
from voice_agent.engines.stt.recogniser import DecodeRequest, Recogniser
from voice_agent.engines.stt.stability import stable_words, words_of
from voice_agent.engines.stt.windows import SHORTEST_WINDOW, Piece, decode_pieces
from voice_agent.errors import EngineUnavailable

FREEZE_AFTER = 10 * INPUT_RATE
"""Decoding costs grow linearly up to about 10 s and faster beyond."""

WARM_UP_SAMPLES = 4 * INPUT_RATE
"""A usual turn."""

UNTOLD_LANGUAGE = "en"
"""What a transcript without text says when the session has no language yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a job found, on top of what was frozen when it began. `origin` tells whether that is still the case."""

    frozen: Frozen
    origin: int
    pieces: tuple[Piece, ...] = ()
    queued_s: float = 0.0
    compute_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The newest transcript, the audio it covers (all of the turn; `tail` is what is not frozen of it), and whether a final
    would say the same."""

    transcript: Transcript
    samples: int
    tail: Piece
    as_final: bool


class BufferedStream:
    """An `SttStream` (base.py) over a `Recogniser` and the lane of its engine. Lives on the event loop."""

    def __init__(self, recogniser: Recogniser, lane: Lane, *, session: str, language: str | None = None, hint: str = "") -> None:
        self._recogniser = recogniser
        self._lane = lane
        self._request = DecodeRequest(session=session, final=False, language=language, hint=hint)
        self._buffer = SpeechBuffer()
        self._frozen = Frozen()
        self._origin = 0
        self._boundary: Piece | None = None  # where the last final ended
        self._peak = 0.0
        self._shown: tuple[str, ...] = ()
        self._answer: _Answer | None = None
        self._draft: tuple[int, ...] = ()  # also set by workers; only ever a hint
        self._jobs: dict[asyncio.Task[_Outcome], Priority] = {}
        self._closed = False

    def accept(self, samples: Samples) -> None:
        if not self._closed:
            self._buffer.append(samples)

    async def partial(self) -> Transcript | None:
        """None also while another transcript of this turn is being made, and when the lane is full."""
        if self._closed or self._jobs or self._lane.waiting(Priority.FINAL):
            return None
        if self._answer is not None and self._answer.samples == self._accepted():
            return self._answer.transcript
        try:
            return self._settle(await self._decode(Priority.PARTIAL), final=False)
        except asyncio.CancelledError:
            if _cancelled_by_caller():
                raise
            return None  # a final of this turn took its place, or the turn was closed
        except _GaveWay:
            return None
        except EngineUnavailable as error:
            if error.code == "engine.overloaded":
                return None
            raise

    async def final(self) -> Transcript:
        """Free where nothing was accepted since the last final, or since a partial that a final would repeat."""
        answer = self._answer
        if answer is not None and answer.as_final and answer.samples == self._accepted():
            return self._repeat(answer)
        for job, priority in list(self._jobs.items()):
            if priority is Priority.PARTIAL:
                job.cancel()
        return self._settle(await self._decode(Priority.FINAL), final=True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for job in list(self._jobs):
            job.cancel()
        self._buffer = SpeechBuffer()
        self._frozen, self._boundary, self._answer, self._draft = Frozen(), None, None, ()
        self._origin += 1
        # Turns are sequential within a session: without this the lane would remember every session that ever spoke.
        self._lane.forget(self._request.session)

    # ------------------------------------------------------------ decoding

    async def _decode(self, priority: Priority) -> _Outcome:
        self._freeze_boundary()
        if len(self._buffer) < SHORTEST_WINDOW:
            return _Outcome(frozen=self._frozen, origin=self._origin)
        work = self._lane.run(self._work(final=priority is Priority.FINAL), priority=priority, session=self._request.session)
        job = asyncio.get_running_loop().create_task(work)
        self._jobs[job] = priority
        try:
            return await job
        finally:
            del self._jobs[job]

    def _work(self, *, final: bool) -> Callable[[Stop], _Outcome]:
        """A job for a worker, on what is known now."""
        recogniser, samples, peak = self._recogniser, self._buffer.view(), self._peak
        start = _Outcome(frozen=self._frozen, origin=self._origin)
        asked = replace(self._request, final=final, context=self._frozen.text)

        def run(stop: Stop) -> _Outcome:
            began = time.perf_counter()
            request = replace(asked, draft=self._draft)  # the newest, which a job before this one may have left
            gives_way = _GivesWay(stop, self._lane, always_stays=final)
            pieces = decode_pieces(recogniser, samples, request, gives_way, peak=peak)
            tokens = pieces[-1].decoded.tokens
            if gives_way.gave_way:
                # The work is not lost: whoever decodes next begins with what was found so far.
                self._draft = max(self._draft, tokens, key=len)
                raise _GaveWay
            self._draft = tokens
            return replace(start, pieces=tuple(pieces), queued_s=stop.queued_s, compute_s=time.perf_counter() - began)

        return run

    # ------------------------------------------------------------ what is known of the turn

    def _accepted(self) -> int:
        return self._frozen.samples + len(self._buffer)

    def _repeat(self, answer: _Answer) -> Transcript:
        """The answer as a final's: it ends an utterance, and everything in it is settled."""
        self._boundary = answer.tail
        words = len(words_of(answer.transcript.text))
        return replace(answer.transcript, stable_words=words, queued_s=0.0, compute_s=0.0)

    def _settle(self, outcome: _Outcome, *, final: bool) -> Transcript:
        whole = outcome.frozen
        for piece in outcome.pieces:
            whole = whole.then(piece.decoded, piece.samples)
        words = words_of(whole.text)
        transcript = whole.transcript(
            language=self._request.language or UNTOLD_LANGUAGE,
            stable_words=len(words) if final else stable_words(self._shown, words, fixed=outcome.frozen.words),
            queued_s=outcome.queued_s,
            compute_s=outcome.compute_s,
        )
        if outcome.pieces and outcome.origin == self._origin:
            self._learn(outcome.pieces, transcript, whole.samples, final=final)
        return transcript

    def _learn(self, pieces: tuple[Piece, ...], transcript: Transcript, samples: int, *, final: bool) -> None:
        tail = pieces[-1]
        if len(pieces) > 1:
            self._freeze(pieces[:-1])
            self._draft = tail.decoded.tokens
        self._peak = tail.peak
        self._shown = words_of(transcript.text)
        as_final = final or all(piece.decoded.serves_as_final for piece in pieces)
        self._answer = _Answer(transcript=transcript, samples=samples, tail=tail, as_final=as_final)
        if final:
            self._boundary = tail

    def _freeze_boundary(self) -> None:
        boundary = self._boundary
        if boundary is not None and len(self._buffer) > FREEZE_AFTER and boundary.samples < len(self._buffer):
            self._freeze((boundary,))

    def _freeze(self, pieces: tuple[Piece, ...]) -> None:
        for piece in pieces:
            self._frozen = self._frozen.then(piece.decoded, piece.samples)
        self._buffer.drop(sum(piece.samples for piece in pieces))
        self._boundary, self._answer, self._draft = None, None, ()
        self._origin += 1


async def warm_up(recogniser: Recogniser, lane: Lane) -> None:
    """A first decode, which is the slow one: memory for the usual shapes is claimed. Waits behind everything else."""
    noise = np.random.default_rng(0).standard_normal(WARM_UP_SAMPLES).astype(np.float32) * np.float32(0.01)
    request = DecodeRequest(session="", final=False)
    await lane.run(lambda stop: recogniser.decode(noise, request, stop), priority=Priority.BACKGROUND, session="")
    lane.forget("")


class _GaveWay(Exception):
    """The job ended early, at its caller's wish or so that a final can run."""


class _GivesWay:
    """Whether a running job should end. A partial also does when a final of any session waits for a thread."""

    def __init__(self, stop: Stop, lane: Lane, *, always_stays: bool) -> None:
        self._stop = stop
        self._lane = lane
        self._always_stays = always_stays
        self.gave_way = False

    def __call__(self) -> bool:
        if not self.gave_way:
            self.gave_way = self._stop() or (not self._always_stays and self._lane.waiting(Priority.FINAL) > 0)
        return self.gave_way


def _cancelled_by_caller() -> bool:
    """Whether this task itself was cancelled, and not only the job that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
