"""What of a reply has really been heard, and how much of it is still to come.

Audio of the current reply is appended as it is made and written to the transport once the gate is open. Positions are samples
of the reply's own timeline. A pause drops what the transport holds and remembers the word that was cut; going on starts with
that word.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from voice_agent.audio.pcm import Pcm16
from voice_agent.conversation.events import Event, PlayoutAdvanced, PlayoutFinished, PlayoutStarted
from voice_agent.engines.base import Word
from voice_agent.transports.base import Transport

AHEAD_S = 12.0
"""Audio that may lie ready beyond the playout position; synthesis waits beyond that."""

POLL_S = 0.02
"""How often the position is looked at while the transport plays what it holds."""

DRAIN_GRACE_S = 2.0
"""A transport that has not played everything this long after it should have is taken to have lost it."""


REMEMBERED = 50
"""Replies of which the words' times are kept, for a client that tells late what was heard."""


@dataclass(frozen=True, slots=True)
class _SpokenWord:
    """`end_char` is where the word ends in the reply's text."""

    start: int
    end: int
    end_char: int


@dataclass(slots=True)
class _Spoken:
    """Text and word times of a reply."""

    text: str = ""
    words: list[_SpokenWord] = field(default_factory=list)
    samples: int = 0


class Playout:
    """One per session; `run` is its task."""

    def __init__(self, transport: Transport, post: Callable[[Event], None]) -> None:
        self._transport = transport
        self._post = post
        self.rate = transport.output_rate
        self._changed = asyncio.Event()
        self._remembered: dict[int, _Spoken] = {}
        self.underruns = 0
        """How often the listener has waited in the middle of a reply, because the next audio was not there yet."""
        self._begin(0)

    def _begin(self, reply_id: int) -> None:
        self.reply_id = reply_id
        self._blocks: list[Pcm16] = []
        self._total = 0
        self._spoken = _Spoken()
        self._complete = False
        self._whole = True
        self._open = False
        self._cursor = 0  # next sample to write
        self._base_sample = 0  # reply sample at which the transport was ...
        self._base_position = self._transport.position()  # ... here
        self._started = False
        self._dry = False
        self._heard_words = 0
        self._room = asyncio.Event()
        self._room.set()

    # ------------------------------------------------------------ filling

    def begin(self, reply_id: int) -> None:
        """A new reply; the last one is over."""
        self._begin(reply_id)
        if reply_id:
            self._remembered[reply_id] = self._spoken
            if len(self._remembered) > REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
        self._changed.set()

    def add_text(self, reply_id: int, text: str) -> None:
        """The next clause. The times of its words count from the end of what was appended so far."""
        if reply_id == self.reply_id:
            self._spoken.text += text

    def append(self, reply_id: int, pcm: Pcm16, words: Sequence[Word], *, clause_start: int, text_start: int) -> None:
        """Audio of the clause that began at sample `clause_start` and at character `text_start` of the reply."""
        if reply_id != self.reply_id:
            return
        spoken = self._spoken
        for word in words:
            after = max(text_start, spoken.words[-1].end_char if spoken.words else 0)
            found = spoken.text.find(word.text, after)
            end_char = found + len(word.text) if found >= 0 else after
            start, end = (clause_start + round(at_s * self.rate) for at_s in (word.start_s, word.end_s))
            spoken.words.append(_SpokenWord(start, end, end_char))
        self._blocks.append(pcm)
        self._total += pcm.size
        self._dry = False
        spoken.samples = self._total
        if self._total - self._cursor > AHEAD_S * self.rate:
            self._room.clear()
        self._changed.set()

    async def room(self, reply_id: int) -> None:
        """Waits until more audio of this reply may be made."""
        if reply_id == self.reply_id:
            await self._room.wait()

    def complete(self, reply_id: int, *, whole: bool = True) -> None:
        """No more audio of the reply will come. Not `whole`: some of its text has none."""
        if reply_id == self.reply_id:
            self._complete, self._whole = True, whole
            self._changed.set()

    @property
    def total(self) -> int:
        """Samples appended so far."""
        return self._total

    @property
    def text_length(self) -> int:
        return len(self._spoken.text)

    # ------------------------------------------------------------ the gate

    def open(self, reply_id: int) -> None:
        """Lets the audio out (again, from the word where it stopped)."""
        if reply_id == self.reply_id and not self._open:
            self._base_sample, self._base_position = self._cursor, self._transport.position()
            self._open = True
            self._changed.set()

    def pause(self, reply_id: int) -> None:
        """Silent at once; keeps the rest."""
        if reply_id != self.reply_id or not self._open:
            return
        self._transport.clear()
        self._report()
        self._cursor = self._word_start(self._heard_samples())
        self._open = False
        self._changed.set()

    def rewind(self, reply_id: int, milliseconds: int) -> bool:
        """The listener has heard no more than this of a paused reply: it goes on from there. False if it is not paused."""
        if reply_id != self.reply_id or self._open:
            return False
        position = min(self._cursor, milliseconds * self.rate // 1000)
        self._cursor = self._word_start(position)
        self._heard_words = sum(word.end <= position for word in self._spoken.words)
        return True

    @property
    def cursor_ms(self) -> int:
        """Where playing goes on."""
        return self._cursor * 1000 // self.rate

    def stop(self, reply_id: int) -> None:
        """Silent at once; drops the rest."""
        if reply_id == self.reply_id:
            if self._open:
                self._transport.clear()
            self.begin(0)

    # ------------------------------------------------------------ playing

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            if self._open and self._cursor < self._total:
                await self._write_some()
            elif self._open and self._complete:
                await self._finish()
            else:
                await self._idle()

    async def _write_some(self) -> None:
        reply_id, start = self.reply_id, self._cursor
        pcm = self._cut(start, min(self._total, start + round(self._transport.write_s * self.rate)))
        self._cursor = start + pcm.size
        if self._total - self._cursor < AHEAD_S * self.rate:
            self._room.set()
        await self._transport.write(pcm)
        if reply_id == self.reply_id and self._open:
            self._report()

    def _cut(self, start: int, end: int) -> Pcm16:
        """Samples of the timeline. Blocks before `start` are kept: a resumed word may lie in one."""
        offset, pieces = 0, []
        for block in self._blocks:
            if offset < end and offset + block.size > start:
                pieces.append(block[max(0, start - offset) : end - offset])
            offset += block.size
            if offset >= end:
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    async def _idle(self) -> None:
        """Nothing to write now; what the transport still holds is watched."""
        if self._open and self._heard_samples() < self._cursor:
            await self._wait(POLL_S)
            if self._open:
                self._report()
            return
        if self._open and self._started and not self._dry:
            self._dry = True
            self.underruns += 1
        await self._changed.wait()

    async def _finish(self) -> None:
        """Everything is written: wait until it has been heard."""
        self._transport.end()
        reply_id, loop = self.reply_id, asyncio.get_running_loop()
        give_up_at = loop.time() + (self._cursor - self._heard_samples()) / self.rate + DRAIN_GRACE_S
        while self._heard_samples() < self._total and loop.time() < give_up_at:
            await self._wait(POLL_S)
            if reply_id != self.reply_id or not self._open:
                return
            self._report()
        self._report()
        everything = self._whole and self._heard_samples() >= self._total
        heard = self._spoken.text if everything else self.heard_text()
        self.begin(0)
        self._post(PlayoutFinished(reply_id=reply_id, heard=heard))

    async def _wait(self, seconds: float) -> None:
        """For a change, at most this long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    # ------------------------------------------------------------ what was heard

    def _heard_samples(self) -> int:
        """Position in the reply's timeline."""
        return min(self._cursor, self._base_sample + self._transport.position() - self._base_position)

    def _word_start(self, position: int) -> int:
        """Start of the word that `position` lies in (or the position itself, between words)."""
        for word in self._spoken.words:
            if word.start <= position < word.end:
                return word.start
        return position

    def _report(self) -> None:
        position = self._heard_samples()
        if position <= 0:
            return
        if not self._started:
            self._started = True
            self._post(PlayoutStarted(reply_id=self.reply_id))
        heard = self._heard_words
        while heard < len(self._spoken.words) and self._spoken.words[heard].end <= position:
            heard += 1
        if heard > self._heard_words:
            self._heard_words = heard
            self._post(PlayoutAdvanced(reply_id=self.reply_id, heard=self.heard_text()))

    def heard_at(self, reply_id: int, milliseconds: int) -> tuple[str, int] | None:
        """A reply's text up to the last word that ends within so much of its audio, and the time, at most the audio's length.

        None if the reply is not remembered or has no audio.
        """
        spoken = self._remembered.get(reply_id)
        if spoken is None or not spoken.samples:
            return None
        position = min(milliseconds * self.rate // 1000, spoken.samples)
        ends = [word.end_char for word in spoken.words if word.end <= position]
        return spoken.text[: ends[-1]] if ends else "", min(milliseconds, spoken.samples * 1000 // self.rate)

    def word_times(self, reply_id: int, start_char: int, end_char: int) -> list[tuple[str, int, int]]:
        """The words of this part of a reply's text: each with its start and end in the reply's audio, in milliseconds."""
        spoken, times, before = self._remembered.get(reply_id, _Spoken()), [], start_char
        for word in spoken.words:
            if start_char < word.end_char <= end_char:
                text = spoken.text[before : word.end_char].strip()
                times.append((text, word.start * 1000 // self.rate, word.end * 1000 // self.rate))
                before = word.end_char
        return times

    def heard_text(self) -> str:
        """The reply's text up to the last word that was heard completely."""
        return self._spoken.text[: self._spoken.words[self._heard_words - 1].end_char] if self._heard_words else ""
