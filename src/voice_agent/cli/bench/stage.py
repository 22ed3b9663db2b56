"""One conversation under observation: a fresh session on the shared engines, the recording of it, and what it reported."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from voice_agent.assembly import Assembly
from voice_agent.audio.pcm import Samples
from voice_agent.cli.bench.tape import Tape
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.state import Replying
from voice_agent.session.report import TurnReport
from voice_agent.session.session import Observed, Session
from voice_agent.transports.in_memory import InMemoryTransport

SPEAKER = "user"
LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Why a turn ended when it did. Times on the recording. `hold_s` is the silence that was waited for, from the end of speech
    as VAD saw it; `probability` the turn detector's, None if it had not spoken by then; `final_s` when the words were known."""

    at_s: float
    text: str
    hold_s: float | None
    probability: float | None
    final_s: float | None


@dataclass(slots=True)
class Witness:
    """Observes a session. It explains the figures; the recording makes them."""

    tape: Tape
    commits: list[Commit] = field(default_factory=list)
    reports: list[TurnReport] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)
    """What happened to the agent's speech: "paused", "resumed", "stopped", "discarded as backchannel" ..."""
    replies_audible: int = 0
    heard: str = ""
    """The last words that were recognised, partial or final."""
    _stopped_s: float | None = None
    _final_s: float | None = None
    _probability: float | None = None

    def observe(self, now: float, what: Observed) -> None:
        loop_time = asyncio.get_running_loop().time()
        match what:
            case on.SpeechStarted():
                self._final_s = self._probability = self._stopped_s = None
            case on.SpeechStopped():
                self._stopped_s = self.tape.time_of(loop_time - now + what.at)
            case on.TranscriptPartial():
                self.heard = what.text
            case on.TranscriptFinal():
                self.heard = what.text
                self._final_s = self.tape.time_of(loop_time)
            case on.TurnProbability():
                self._probability = what.probability
            case do.CommitTurn():
                self._committed(what, self.tape.time_of(loop_time))
            case on.PlayoutStarted():
                self.replies_audible += 1
            case TurnReport():
                self.reports.append(what)
            case _:
                self._note_act(what)

    def _committed(self, turn: do.CommitTurn, at_s: float) -> None:
        hold_s = at_s - self._stopped_s if self._stopped_s is not None else None
        self.commits.append(Commit(at_s=at_s, text=turn.text, hold_s=hold_s, probability=self._probability, final_s=self._final_s))

    def _note_act(self, what: Observed) -> None:
        match what:
            case do.PausePlayout():
                self.acts.append("paused")
            case do.ResumePlayout():
                self.acts.append("resumed")
            case do.StopPlayout():
                self.acts.append("stopped")
            case do.DiscardTurn():
                self.acts.append(f"discarded as {what.reason}")
            case _:
                return


@dataclass(slots=True)
class Scene:
    session: Session
    transport: InMemoryTransport
    tape: Tape
    witness: Witness

    async def until(self, holds: Callable[[], bool], *, timeout_s: float) -> bool:
        """Whether it came to hold in time."""
        deadline_s = self.tape.now_s + timeout_s
        while not holds():
            if self.tape.now_s >= deadline_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def pass_s(self, seconds: float) -> None:
        """Lets this much of the recording go by."""
        await self.until(lambda: False, timeout_s=seconds)

    def say(self, samples: Samples) -> float:
        """Starts to say this now; when that is, exactly, on the recording."""
        self.transport.say(samples, speaker=SPEAKER)
        return self.tape.now_s

    def answering(self) -> bool:
        """The person is done, nothing is open, and the agent is audible."""
        machine = self.session.machine
        done = not self.transport.is_speaking(SPEAKER) and not machine.speaker(SPEAKER).open
        return done and machine.reply.state is Replying.PLAYING


@contextlib.asynccontextmanager
async def scene(assembly: Assembly, name: str, recordings: Path | None = None) -> AsyncIterator[Scene]:
    """A running session, ended behind the block; its recording goes into the folder `recordings`."""
    tape = Tape()
    witness = Witness(tape)
    transport = InMemoryTransport(speakers=(SPEAKER,), tap=tape.add)
    session = await assembly.session(f"bench-{name}", transport, observer=witness.observe)
    running = asyncio.ensure_future(session.run())
    try:
        yield Scene(session, transport, tape, witness)
    finally:
        await session.aclose()
        await running
        if recordings is not None:
            await asyncio.to_thread(tape.save, recordings / f"{name}.wav")
