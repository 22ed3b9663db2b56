"""`voice-agent talk`: a conversation from sound files, the microphone or text, in real time."""

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.cli.starting import assembled
from voice_agent.errors import AudioInputError, InputError, SettingsError
from voice_agent.settings import Settings

if TYPE_CHECKING:
    from voice_agent.assembly import Assembly
    from voice_agent.audio.pcm import Samples
    from voice_agent.cli.recording import Recording
    from voice_agent.cli.screen import Screen
    from voice_agent.session.session import Session
    from voice_agent.transports.base import Transport
    from voice_agent.transports.in_memory import InMemoryTransport

SPEAKER = "user"

SETTLE_S = 0.3
"""After a file: the agent counts as finished when it has been quiet for this long."""

NO_ANSWER_S = 12.0
"""After a file: no reply has come and none is on its way."""

LOOK_S = 0.05

MAX_TEXT = 20_000
"""Characters of a typed turn; more is a document, not a turn."""


def talk(
    inputs: Annotated[
        list[Path] | None, typer.Option("--input", help="A sound file to say to the agent (WAV, FLAC, OGG, MP3). Repeatable.")
    ] = None,
    texts: Annotated[list[str] | None, typer.Option("--text", help="A turn by text, after the files. Repeatable.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Record to this stereo WAV: the speaker left, the agent right.")
    ] = None,
    barge_in_after: Annotated[
        float | None,
        typer.Option("--barge-in-after", min=0.0, max=600.0, help="Start the next file this many seconds into the reply."),
    ] = None,
    voice: Annotated[str | None, typer.Option("--voice", help="Voice of the agent, or a blend.")] = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a conversation: with files, by text, or (with neither) through the microphone."""
    settings = settings_with(assignments, tts__voice=voice).values
    asyncio.run(_talk(settings, inputs or [], texts or [], output, barge_in_after, as_json))


async def _talk(
    settings: Settings,
    inputs: Sequence[Path],
    texts: Sequence[str],
    output: Path | None,
    barge_in_after: float | None,
    as_json: bool,
) -> None:
    _check_texts(texts)
    clips = [await asyncio.to_thread(_read, path) for path in inputs]
    from voice_agent.cli.recording import Recording
    from voice_agent.cli.screen import JsonScreen, LineScreen

    screen: Screen = JsonScreen() if as_json else LineScreen()
    recording = Recording(output) if output is not None else None
    async with assembled(settings) as assembly:
        await _refuse_silence(assembly, inputs, clips)
        try:
            if clips or texts:
                await _perform(assembly, clips, texts, recording, barge_in_after, screen)
            else:
                await _listen(assembly, recording, screen)
        finally:
            if recording is not None:
                await asyncio.to_thread(recording.close)


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        if not text.strip():
            raise InputError("The text of --text is empty", remedy="Give it some words")
        if len(text) > MAX_TEXT:
            raise InputError(
                f"The text of --text is too long ({len(text):,} characters)", remedy=f"Give it at most {MAX_TEXT:,} characters"
            )


def _read(path: Path) -> "Samples":
    from voice_agent.audio.files import read_audio

    return read_audio(path)


async def _refuse_silence(assembly: "Assembly", inputs: Sequence[Path], clips: "Sequence[Samples]") -> None:
    """Before anything is played: minutes of silence in real time would only be waited for."""
    from voice_agent.session.listening import holds_speech

    vad = (await assembly.vad.choose(limit=1))[0]
    for path, clip in zip(inputs, clips, strict=True):
        if not await asyncio.to_thread(holds_speech, vad, clip):
            raise AudioInputError(
                f"{path} holds no speech",
                why=f"nothing in its {clip.size / 16_000:.1f} s sounds like a voice",
                remedy="Give a recording of a person who speaks, or check the microphone that made it",
                code="audio.no_speech",
            )


# ---------------------------------------------------------------- from files and texts


async def _perform(
    assembly: "Assembly",
    clips: "Sequence[Samples]",
    texts: Sequence[str],
    recording: "Recording | None",
    barge_in_after: float | None,
    screen: "Screen",
) -> None:
    from voice_agent.transports.in_memory import InMemoryTransport

    transport = InMemoryTransport(speakers=(SPEAKER,), tap=recording.add if recording is not None else None)
    async with _session(assembly, transport, screen) as director:
        if assembly.settings.conversation.greeting:
            await director.greeted()
        for index, clip in enumerate(clips):
            transport.say(clip, speaker=SPEAKER)
            last = index == len(clips) - 1 and not texts
            await director.answered(transport, barge_in_after=None if last else barge_in_after)
        for text in texts:
            transport.type_text(text, speaker=SPEAKER)
            await director.answered(transport)
        director.raise_if_nothing_worked()


@contextlib.asynccontextmanager
async def _session(assembly: "Assembly", transport: "Transport", screen: "Screen"):  # type: ignore[no-untyped-def]
    """A running session and the one who watches it; ends the session."""
    director = Director(screen)
    settings = assembly.settings
    session_id = uuid.uuid4().hex[:12]
    recorder = None
    if settings.log.events_dir:
        from voice_agent.assembly import session_settings
        from voice_agent.session.recording import open_recorder

        recorder = open_recorder(
            Path(settings.log.events_dir), session_id, session_settings(settings).conversation, content=settings.log.content
        )
    session = await assembly.session(
        session_id, transport, observer=director.observe, recorder=recorder.record if recorder is not None else None
    )
    screen.engines(session.engines.names(), assembly.states())
    director.session = session
    running = asyncio.ensure_future(session.run())
    if settings.conversation.greeting:
        session.say(settings.conversation.greeting)
    try:
        yield director
    finally:
        await session.aclose()
        await running
        if recorder is not None:
            await recorder.aclose()


class Director:
    """Knows when it is whose turn: passes on what it observes to the screen."""

    def __init__(self, screen: "Screen") -> None:
        self.session: Session | None = None
        self._screen = screen
        self._replies = 0
        self._failed_replies = 0
        self._audible_at: float | None = None
        self._recorded = asyncio.Event()
        self._idle = asyncio.Event()

    def observe(self, now: float, what: object) -> None:
        from voice_agent.conversation.effects import RecordReply, ReportIdle
        from voice_agent.conversation.events import PlayoutStarted

        match what:
            case RecordReply():
                self._replies += 1
                self._failed_replies += bool(what.failed)
                self._audible_at = None
                self._recorded.set()
            case PlayoutStarted():
                self._audible_at = now
            case ReportIdle():
                self._idle.set()
            case _:
                pass
        self._screen.observe(now, what)  # type: ignore[arg-type]

    async def greeted(self) -> None:
        """Until the greeting has been said."""
        await self._recorded.wait()

    async def answered(self, transport: "InMemoryTransport", *, barge_in_after: float | None = None) -> None:
        """Until the agent has answered what was just said (or will not), or `barge_in_after` seconds into the answer."""
        assert self.session is not None
        replies, quiet_since, said_at = self._replies, None, None
        while True:
            await asyncio.sleep(LOOK_S)
            now = self.session.now
            if transport.is_speaking(SPEAKER):
                continue
            said_at = now if said_at is None else said_at
            if barge_in_after is not None and self._audible_at is not None and now - self._audible_at >= barge_in_after:
                return
            if self._busy(self.session):
                quiet_since = None
                continue
            quiet_since = now if quiet_since is None else quiet_since
            answered = self._replies > replies
            if now - quiet_since >= (SETTLE_S if answered else NO_ANSWER_S):
                return

    def raise_if_nothing_worked(self) -> None:
        """What went wrong, if every reply was lost (each loss is also followed by an apology, which is a reply too)."""
        assert self.session is not None
        if self.session.last_failure is not None and self._replies <= 2 * self._failed_replies:
            raise self.session.last_failure

    async def idled(self) -> None:
        """Until everybody has been silent for the idle time."""
        await self._idle.wait()

    @staticmethod
    def _busy(session: "Session") -> bool:
        from voice_agent.conversation.state import Replying

        machine = session.machine
        return machine.reply.state is not Replying.NONE or machine.speaker(SPEAKER).open


# ---------------------------------------------------------------- through the microphone


async def _listen(assembly: "Assembly", recording: "Recording | None", screen: "Screen") -> None:
    from voice_agent.transports.microphone import MicrophoneTransport

    if recording is not None:
        raise SettingsError("--output records conversations with files", remedy="Give an --input, or leave --output away")
    transport = MicrophoneTransport(speaker=SPEAKER)
    typer.echo("Speak; end with Ctrl-C. Headphones keep the agent from hearing itself.", err=True)
    async with _session(assembly, transport, screen) as director:
        await director.idled() if assembly.settings.conversation.idle_timeout_s else await asyncio.Event().wait()
