"""Recording a session: (now, event, effects) of each call of the machine into an event log, with or without what was said."""

from collections.abc import Iterable
from pathlib import Path

from voice_agent.conversation.effects import Effect
from voice_agent.conversation.events import Event
from voice_agent.conversation.redaction import Redactor, Step, WholeWords
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.transcript import Transcript
from voice_agent.session.log_format import LogHeader, header_line, step_line
from voice_agent.telemetry.event_log import EventLog, Line


class RecorderHandle:
    """The recorder of one session; `record` is what `Session` takes as its `recorder`."""

    def __init__(self, log: EventLog[Step]) -> None:
        self._log = log

    @property
    def path(self) -> Path | None:
        """Of the log; None while it is not open yet, or cannot be opened."""
        return self._log.path

    def record(self, now: float, event: Event | None, effects: list[Effect]) -> None:
        """Takes microseconds and does not raise."""
        self._log.append(Step(now=now, event=event, effects=tuple(effects)))

    async def aclose(self) -> None:
        """Writes the rest. Returns within 2 s."""
        await self._log.aclose()


def open_recorder(
    directory: Path,
    session_id: str,
    conversation_settings: ConversationSettings,
    *,
    content: bool,
    transcript: Transcript | None = None,
) -> RecorderHandle:
    """Begins a log in `directory`. Without `content` every text is redacted.

    Open it before the session runs: `transcript`, that of an earlier session which goes on, is looked at now. A folder that
    cannot be written is one warning in the program's log, and nothing is recorded.
    """
    items = () if transcript is None else tuple(item.item_id for item in transcript)
    header = LogHeader(
        session=session_id,
        redacted=not content,
        settings=conversation_settings,
        items=items,
        items_made=0 if transcript is None else transcript.made,
    )
    return RecorderHandle(EventLog(Path(directory), session_id, _Plain(header) if content else _Redacted(header)))


class _Plain:
    """Steps as they are."""

    def __init__(self, header: LogHeader) -> None:
        self._header = header

    def begin(self) -> Iterable[Line]:
        return [header_line(self._header)]

    def push(self, item: Step) -> Iterable[Line]:
        return [step_line(item)]

    def finish(self) -> Iterable[Line]:
        return []


class _Redacted(_Plain):
    """Steps without their words."""

    def __init__(self, header: LogHeader) -> None:
        super().__init__(header)
        self._whole_words = WholeWords()
        self._redactor = Redactor()

    def push(self, item: Step) -> Iterable[Line]:
        return [step_line(self._redactor.step(step)) for step in self._whole_words.push(item)]

    def finish(self) -> Iterable[Line]:
        return [step_line(self._redactor.step(step)) for step in self._whole_words.finish()]
