"""What is told of each reply when it is over: texts, timing, speculation. Watches the session, changes nothing."""

from dataclasses import dataclass, field

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.session.replying import ReplyRun
from voice_agent.session.waterfall import Waterfall


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """`hit`: the reply that was heard had been started before the turn ended. `wasted_tokens` were generated for drafts that
    were dropped on the way to it, `drafts` of them."""

    hit: bool
    wasted_tokens: int
    drafts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """One reply and the turn it answered. Times in milliseconds; `voice_to_voice_ms` is None if nothing was heard."""

    turn: int
    reply_id: int
    user_text: str
    confidence: float
    language: str
    reply_text: str
    heard_text: str
    interrupted: bool
    failed: str
    engines: dict[str, str]
    waterfall_ms: dict[str, float]
    voice_to_voice_ms: float | None
    speculation: Speculation
    underruns: int = 0
    """How often the listener waited in the middle of the reply."""


@dataclass(slots=True)
class _Turn:
    """What is known of the turns since the last report."""

    texts: list[str] = field(default_factory=list)
    confidence: float = 1.0
    language: str = ""


class Reporter:
    """Fed by the session with what happens."""

    def __init__(self, engines: dict[str, str]) -> None:
        self.run: ReplyRun | None = None
        self._engines = engines
        self._turns = 0
        self._turn = _Turn()
        self._marks = Waterfall()
        self._waterfalls: dict[int, Waterfall] = {}
        self._speculative: dict[int, bool] = {}
        self._tokens: dict[int, ReplyRun] = {}

    def saw(self, event: on.Event, now: float) -> None:
        """Marks of the road to the reply."""
        match event:
            case on.SpeechStopped():
                self._marks = Waterfall()
                self._marks.mark("speech_end", event.at)
                self._marks.mark("vad", now)
            case on.TranscriptFinal() if event.text:
                self._marks.mark("stt", now)
            case on.PlayoutStarted() if event.reply_id in self._waterfalls:
                self._waterfalls[event.reply_id].mark("playout", now)
            case _:
                return

    def text_arrived(self, now: float) -> None:
        """A turn by text begins (and ends) now."""
        self._marks = Waterfall()
        self._marks.mark("speech_end", now)

    def reply_started(self, reply_id: int, *, speculative: bool, now: float) -> Waterfall:
        """The new reply's waterfall, with the marks of its turn."""
        self._note_tokens()
        waterfall = Waterfall(dict(self._marks.marks))
        waterfall.mark("speech_end", now)  # of a reply that nobody's speech asked for
        self._waterfalls[reply_id] = waterfall
        self._speculative[reply_id] = speculative
        return waterfall

    def _note_tokens(self) -> None:
        if self.run is not None:
            self._tokens[self.run.reply_id] = self.run

    def turn_committed(self, effect: do.CommitTurn, now: float) -> None:
        self._turn.texts.append(effect.text)
        self._turn.confidence = effect.confidence
        self._turn.language = effect.language

    def reply_recorded(self, effect: do.RecordReply, *, underruns: int = 0) -> TurnReport:
        """The report; what was known of the turn is spent."""
        self._note_tokens()
        self._turns += 1
        waterfall = self._waterfalls.get(effect.reply_id, Waterfall())
        turn, self._turn = self._turn, _Turn()
        report = TurnReport(
            turn=self._turns,
            reply_id=effect.reply_id,
            user_text=" ".join(turn.texts),
            confidence=round(turn.confidence, 3),
            language=turn.language,
            reply_text=effect.written or effect.heard,
            heard_text=effect.heard,
            interrupted=effect.interrupted,
            failed=effect.failed,
            engines=self._engines_of(effect.reply_id),
            waterfall_ms=waterfall.stages_ms(),
            voice_to_voice_ms=waterfall.total_ms(),
            speculation=self._speculation(effect.reply_id),
            underruns=underruns,
        )
        self._waterfalls.clear()
        self._speculative.clear()
        self._tokens.clear()
        self.run = None
        return report

    def _engines_of(self, reply_id: int) -> dict[str, str]:
        """As chosen for the session, but the language model as it really answered."""
        run = self._tokens.get(reply_id)
        answered = run.llm_engine if run is not None else ""
        return {**self._engines, "llm": answered} if answered else dict(self._engines)

    def _speculation(self, reply_id: int) -> Speculation:
        dropped = [run for number, run in self._tokens.items() if number != reply_id]
        return Speculation(
            hit=self._speculative.get(reply_id, False),
            wasted_tokens=sum(run.tokens for run in dropped),
            drafts=len(dropped),
        )
