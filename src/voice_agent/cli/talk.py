"""`voice-agent talk`: a conversation from sound files, the microphone or text, in real time, here or on a server."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from voice_agent.cli.director import SPEAKER, Director, HereConversation
from voice_agent.cli.options import JsonOption, SetOption, settings_with
from voice_agent.cli.starting import assembled
from voice_agent.errors import AudioInputError, InputError, SettingsError
from voice_agent.settings import Settings

if TYPE_CHECKING:
    from voice_agent.assembly import Assembly
    from voice_agent.audio.pcm import Samples
    from voice_agent.cli.recording import Recording
    from voice_agent.cli.screen import Screen
    from voice_agent.engines.base import VadModel
    from voice_agent.transports.base import Transport

MAX_TEXT = 20_000
"""Characters of a typed turn; more is a document, not a turn."""

Opened: TypeAlias = "Callable[[Transport], AbstractAsyncContextManager[Director]]"
"""Opens a conversation through a transport; it runs as long as the block, and the director watches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be said. `greeted`: the agent speaks first. `ends_idle`: silence of everybody ends the talk."""

    inputs: Sequence[Path]
    clips: "Sequence[Samples]"
    texts: Sequence[str]
    barge_in_after: float | None
    greeted: bool = False
    ends_idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server to talk to."""

    url: str
    key: str
    insecure: bool
    voice: str | None


def talk(
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", metavar="FILE", help="A sound file to say to the agent (WAV, FLAC, OGG, MP3). Repeatable."),
    ] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="A turn by text, after the files. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Record to this stereo WAV: the speaker left, the agent right.")
    ] = None,
    barge_in_after: Annotated[
        float | None,
        typer.Option(
            "--barge-in-after", metavar="SECONDS", min=0.0, max=600.0, help="Start the next file this many seconds into the reply."
        ),
    ] = None,
    voice: Annotated[str | None, typer.Option("--voice", metavar="NAME", help="Voice of the agent, or a blend.")] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url", metavar="URL", help="Talk to a running server, such as ws://127.0.0.1:8000, in place of engines here."
        ),
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY", envvar="VOICE_AGENT_KEY", show_envvar=True, help="Key for the server.")
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept any certificate of the server, such as one of its own making.")
    ] = False,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a conversation: with files, by text, or (with neither) through the microphone."""
    if url is None:
        settings: Settings | None = settings_with(assignments, tts__voice=voice).values
    elif assignments:
        raise SettingsError("--set does not reach a server", remedy="Give the setting to its voice-agent serve")
    else:
        settings = None
    server = None if url is None else Server(url=url, key=key, insecure=insecure, voice=voice)
    asyncio.run(_talk(settings, server, inputs or [], texts or [], output, barge_in_after, as_json))


async def _talk(
    settings: Settings | None,
    server: Server | None,
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
    plan = Plan(inputs=inputs, clips=clips, texts=texts, barge_in_after=barge_in_after)
    if server is not None:
        await _talk_there(server, plan, recording, screen)
    else:
        assert settings is not None
        await _talk_here(settings, plan, recording, screen)


async def talk_to(url: str, inputs: Sequence[Path], *, insecure: bool = False) -> None:
    """Says sound files to a running server, and shows the conversation."""
    server = Server(url=url, key="", insecure=insecure, voice=None)
    await _talk(None, server, inputs, [], None, None, as_json=False)


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


async def _refuse_silence(vad: "VadModel", plan: Plan) -> None:
    """Before anything is played: minutes of silence in real time would only be waited for."""
    from voice_agent.session.listening import holds_speech

    for path, clip in zip(plan.inputs, plan.clips, strict=True):
        if not await asyncio.to_thread(holds_speech, vad, clip):
            raise AudioInputError(
                f"{path} holds no speech",
                why=f"nothing in its {clip.size / 16_000:.1f} s sounds like a voice",
                remedy="Give a recording of a person who speaks, or check the microphone that made it",
                code="audio.no_speech",
            )


# ---------------------------------------------------------------- here


async def _talk_here(settings: Settings, plan: Plan, recording: "Recording | None", screen: "Screen") -> None:
    async with assembled(settings) as assembly:
        await _refuse_silence((await assembly.vad.choose(limit=1))[0], plan)
        plan = replace(
            plan, greeted=bool(settings.conversation.greeting), ends_idle=settings.conversation.idle_timeout_s is not None
        )
        await _converse(lambda transport: _session(assembly, transport, screen), plan, recording)


@contextlib.asynccontextmanager
async def _session(assembly: "Assembly", transport: "Transport", screen: "Screen") -> AsyncIterator[Director]:
    """A running session and the one who watches it; ends the session."""
    director = Director(screen)
    settings = assembly.settings
    session_id = uuid.uuid4().hex[:12]
    async with assembly.recorder(session_id) as recorder:
        session = await assembly.session(session_id, transport, observer=director.observe, recorder=recorder)
        screen.engines(session.engines.names(), assembly.states())
        director.conversation = HereConversation(session)
        if settings.conversation.greeting:
            session.say(settings.conversation.greeting)
        async with asyncio.TaskGroup() as group:  # so that a session that breaks ends the talk
            group.create_task(session.run())
            try:
                yield director
            finally:
                await session.aclose()


# ---------------------------------------------------------------- on a server


async def _talk_there(server: Server, plan: Plan, recording: "Recording | None", screen: "Screen") -> None:
    from voice_agent.transports.remote import connect, realtime_url

    url = realtime_url(server.url)
    if plan.clips:
        from voice_agent.engines.vad import silero

        await _refuse_silence(await asyncio.to_thread(silero.load), plan)
    async with connect(url, key=server.key, insecure=server.insecure) as link:

        @contextlib.asynccontextmanager
        async def opened(transport: "Transport") -> AsyncIterator[Director]:
            from voice_agent.cli.remote import conversing

            director = Director(screen)
            async with conversing(link, transport, director.observe) as conversation:
                screen.engines({"url": url.partition("?")[0]}, {})
                director.conversation = conversation
                if server.voice is not None:
                    await conversation.use_voice(server.voice)
                yield director

        await _converse(opened, plan, recording)


# ---------------------------------------------------------------- the conversation itself


async def _converse(opened: Opened, plan: Plan, recording: "Recording | None") -> None:
    try:
        if plan.clips or plan.texts:
            await _perform(opened, plan, recording)
        else:
            await _listen(opened, plan, recording)
    finally:
        if recording is not None:
            await asyncio.to_thread(recording.close)


async def _perform(opened: Opened, plan: Plan, recording: "Recording | None") -> None:
    """Files and texts, one after the other."""
    from voice_agent.transports.in_memory import InMemoryTransport

    transport = InMemoryTransport(speakers=(SPEAKER,), tap=recording.add if recording is not None else None)
    async with opened(transport) as director:
        if plan.greeted:
            await director.greeted()
        for index, clip in enumerate(plan.clips):
            transport.say(clip, speaker=SPEAKER)
            last = index == len(plan.clips) - 1 and not plan.texts
            await director.answered(transport, barge_in_after=None if last else plan.barge_in_after)
        for text in plan.texts:
            transport.type_text(text, speaker=SPEAKER)
            await director.answered(transport)
        director.raise_if_nothing_worked()


async def _listen(opened: Opened, plan: Plan, recording: "Recording | None") -> None:
    """The microphone, until Ctrl-C."""
    from voice_agent.transports.microphone import MicrophoneTransport

    if recording is not None:
        raise SettingsError("--output records conversations with files", remedy="Give an --input, or leave --output away")
    transport = MicrophoneTransport(speaker=SPEAKER)
    typer.echo("Speak; end with Ctrl-C. Headphones keep the agent from hearing itself.", err=True)
    async with opened(transport) as director:
        await (director.idled() if plan.ends_idle else director.ended())
