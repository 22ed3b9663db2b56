"""What a server tells of a conversation, as the events, effects and reports that a session here would give its observer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voice_agent.api.realtime import extensions as ext
from voice_agent.cli.director import SPEAKER
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.session.report import Speculation, TurnReport

if TYPE_CHECKING:
    from voice_agent.session.session import Observed


@dataclass(slots=True)
class _Reply:
    """One that is on its way or being heard."""

    reply_id: int
    written: str = ""
    heard: str = ""
    audible: bool = False


@dataclass(slots=True)
class _Turn:
    """What was said since the last reply."""

    text: str = ""
    confidence: float = 1.0
    language: str = ""


class ReplyBook:
    """Fed with every event of the server, in order. Raises `ValueError`, `KeyError` or `TypeError` for one that is malformed."""

    def __init__(self) -> None:
        self._reply: _Reply | None = None
        self._turn = _Turn()
        self._replies = 0
        self._reports = 0

    def saw(self, event: dict[str, Any]) -> "Iterator[Observed]":
        match event["type"]:
            case "response.created":
                self._begin(event["response"])
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._open().written += str(event["delta"])
            case "voice_agent.state":
                yield do.ReportState(state=ext.AgentState.model_validate(event).state)
            case "voice_agent.partial":
                partial = ext.PartialTranscript.model_validate(event)
                yield on.TranscriptPartial(
                    speaker=SPEAKER,
                    utterance_id=0,
                    text=partial.text,
                    stable_words=partial.stable_words,
                    confidence=partial.confidence,
                )
            case "voice_agent.turn":
                yield self._committed(ext.TurnTranscript.model_validate(event))
            case "voice_agent.heard":
                reply = self._open()
                reply.heard = ext.Heard.model_validate(event).text
                yield on.PlayoutAdvanced(reply_id=reply.reply_id, heard=reply.heard)
            case "voice_agent.playout.paused":
                yield do.PausePlayout(reply_id=self._open().reply_id)
            case "voice_agent.playout.resumed":
                yield do.ResumePlayout(reply_id=self._open().reply_id)
            case "voice_agent.reply":
                yield from self._reported(ext.ReplyReport.model_validate(event))
            case _:
                return

    def typed(self, text: str) -> "Iterator[Observed]":
        """The person has typed a turn: the server does not tell it back."""
        self._turn = _Turn(text=text)
        yield do.CommitTurn(speaker=SPEAKER, item_id="", text=text, confidence=1.0, language="", by_text=True)

    def audible(self) -> "Iterator[Observed]":
        """The card has begun to play a reply."""
        reply = self._reply
        if reply is not None and not reply.audible:
            reply.audible = True
            yield on.PlayoutStarted(reply_id=reply.reply_id)

    def broke_off(self, code: str) -> "Iterator[Observed]":
        """The connection has ended: what is known of the turn that was not finished."""
        if self._reply is None and not self._turn.text:
            return
        reply, turn = self._open(), self._turn
        self._reply, self._turn = None, _Turn()
        yield TurnReport(
            turn=self._reports + 1,
            reply_id=reply.reply_id,
            user_text=turn.text,
            confidence=turn.confidence,
            language=turn.language,
            reply_text=reply.written,
            heard_text=reply.heard,
            interrupted=False,
            failed=code,
            engines={},
            waterfall_ms={},
            voice_to_voice_ms=None,
            speculation=Speculation(hit=False, wasted_tokens=0, drafts=0),
        )

    def _begin(self, response: dict[str, Any]) -> None:
        """The rest of a reply that was paused comes as another response; it is the same reply."""
        if self._reply is None or "continues_item" not in (response.get("metadata") or {}):
            self._reply = None
            self._open()

    def _open(self) -> _Reply:
        if self._reply is None:
            self._replies += 1
            self._reply = _Reply(self._replies)
        return self._reply

    def _committed(self, turn: ext.TurnTranscript) -> do.CommitTurn:
        said = f"{self._turn.text} {turn.text}".strip()
        self._turn = _Turn(said, turn.confidence, turn.language)
        return do.CommitTurn(
            speaker=SPEAKER, item_id=turn.item_id, text=turn.text, confidence=turn.confidence, language=turn.language
        )

    def _reported(self, report: ext.ReplyReport) -> "Iterator[Observed]":
        reply, turn = self._open(), self._turn
        self._reply, self._turn, self._reports = None, _Turn(), report.turn
        yield TurnReport(
            turn=report.turn,
            reply_id=reply.reply_id,
            user_text=report.user_text or turn.text,
            confidence=round(turn.confidence, 3),
            language=turn.language,
            reply_text=report.reply_text,
            heard_text=report.heard_text,
            interrupted=report.interrupted,
            failed=report.failed,
            engines=report.engines,
            waterfall_ms=report.waterfall_ms,
            voice_to_voice_ms=report.voice_to_voice_ms,
            speculation=Speculation(
                hit=report.speculation.hit,
                wasted_tokens=report.speculation.wasted_tokens,
                drafts=report.speculation.drafts,
            ),
        )
        yield do.RecordReply(
            reply_id=reply.reply_id,
            item_id="",
            heard=report.heard_text,
            written=report.reply_text,
            interrupted=report.interrupted,
            failed=report.failed,
        )
