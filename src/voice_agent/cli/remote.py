"""`voice-agent talk --url`: a conversation that runs on a server, shown and heard as if it ran here.

    card ──► 24 kHz, base64 ──► server          the person speaks
    server ──► queue ──► card                    the agent speaks; what the card has played is what was heard
    server ──► our extensions ──► observer       partials, turns, heard words, waterfalls

The sound card has its own clock, so a flush loses what lies ready in it and no more.
"""

import asyncio
import contextlib
import itertools
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from voice_agent.audio.pcm import Samples, to_int16
from voice_agent.audio.resample import Resampler
from voice_agent.cli.loudspeaker import WIRE_RATE, Cut, Loudspeaker
from voice_agent.cli.remote_events import ReplyBook
from voice_agent.conversation.effects import RecordReply
from voice_agent.errors import InputError, TransportError, VoiceAgentError
from voice_agent.transports.base import AudioInput, Input, TextInput, Transport
from voice_agent.transports.remote import RemoteLink

if TYPE_CHECKING:
    from voice_agent.session.session import Observed, Observer

INPUT_RATE = 16_000

TURN_LASTS_S = 1.5
"""A partial says that somebody speaks; the next one comes within 0.3 s of speech, or the turn is over."""

CREATED_TIMEOUT_S = 15.0
"""The first session of a process waits for its engines."""

LOOK_S = 0.02


class RemoteConversation:
    """`card` takes and gives audio; `observer` is told what happens as that of a session here is."""

    def __init__(self, link: RemoteLink, card: Transport, observer: "Observer") -> None:
        self.last_failure: VoiceAgentError | None = None
        self.session_id = ""
        self._link = link
        self._card = card
        self._observer = observer
        self._loudspeaker = Loudspeaker(card)
        self._book = ReplyBook()
        self._created = asyncio.Event()
        self._began_at = asyncio.get_running_loop().time()
        self._state = "listening"
        self._paused = False
        self._turn_open = False
        self._partial_at = -TURN_LASTS_S
        self._cut: Cut | None = None
        self._announced = ""  # item whose beginning was told
        self._event_ids = itertools.count(1)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began_at

    @property
    def busy(self) -> bool:
        speaking = self._turn_open or self.now - self._partial_at < TURN_LASTS_S
        return speaking or self._paused or self._state != "listening" or self._loudspeaker.active

    async def created(self) -> None:
        """Until the server has opened the session. Raises `TransportError`."""
        try:
            async with asyncio.timeout(CREATED_TIMEOUT_S):
                await self._created.wait()
        except TimeoutError:
            raise TransportError(
                "The server opens no session", why="it is silent", remedy="Look at its log", code="transport.not_realtime"
            ) from None

    async def run(self) -> None:
        """Until it is cancelled or the connection ends, which raises `TransportError`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear())
                group.create_task(self._loudspeaker.run())
                group.create_task(self._announce())
                await self.created()
                group.create_task(self._say())
        except* VoiceAgentError as errors:
            error = _first(errors)
            for what in self._book.broke_off(error.code):
                self._tell(what)
            raise error from None

    async def use_voice(self, voice: str) -> None:
        """Has the agent speak with it. The server may refuse: see `last_failure`."""
        session = {"type": "realtime", "audio": {"output": {"voice": voice}}}
        await self._link.send("session.update", event_id="voice", session=session)

    # ------------------------------------------------------------ the person

    async def _say(self) -> None:
        """What the card hears and what is typed, in order."""
        resampler = Resampler(INPUT_RATE, WIRE_RATE)
        async with contextlib.aclosing(cast(AsyncGenerator[Input, None], self._card.inputs())) as inputs:
            async for item in inputs:
                match item:
                    case AudioInput():
                        await self._append(resampler, item.samples)
                    case TextInput():
                        await self._type(item.text)
                    case _:
                        pass

    async def _append(self, resampler: Resampler, samples: Samples) -> None:
        pcm = resampler.push(to_int16(samples))
        if pcm.size:
            await self._link.send(
                "input_audio_buffer.append", audio=b64encode(pcm.astype("<i2", copy=False).tobytes()).decode("ascii")
            )

    async def _type(self, text: str) -> None:
        for what in self._book.typed(text):
            self._tell(what)
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self._link.send("conversation.item.create", event_id=f"item_{next(self._event_ids)}", item=item)
        await self._link.send("response.create", event_id=f"reply_{next(self._event_ids)}")

    # ------------------------------------------------------------ the server

    async def _hear(self) -> None:
        events = cast(AsyncGenerator[dict[str, Any], None], self._link.events())
        async with contextlib.aclosing(events):
            async for event in events:
                try:
                    await self._take(event)
                except (KeyError, TypeError, ValueError) as error:
                    raise TransportError(
                        "The server does not speak the Realtime protocol",
                        why=f"a {event['type'][:60]} event lacks something",
                        remedy="Use the same release on both sides",
                        code="transport.not_realtime",
                    ) from error

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.created":
                self.session_id = str(event["session"]["id"])
                self._created.set()
            case "response.output_audio.delta":
                self._loudspeaker.add(event["item_id"], np.frombuffer(b64decode(event["delta"], validate=True), dtype="<i2"))
            case "input_audio_buffer.speech_started":
                self._turn_open = True
                self._fall_silent()
            case "input_audio_buffer.speech_stopped":
                self._turn_open = False
            case "voice_agent.state":
                self._state = str(event["state"])
            case "voice_agent.playout.paused":
                self._paused = True
                self._fall_silent()
            case "voice_agent.playout.resumed":
                self._paused, self._cut = False, None
            case "voice_agent.partial":
                self._partial_at = self.now
            case "voice_agent.turn":
                self._partial_at = -TURN_LASTS_S
            case "voice_agent.reply":
                self._paused = False
                await self._truncate(interrupted=event["interrupted"] is True)
            case "error":
                self._fail(event["error"])
            case _:
                pass
        for what in self._book.saw(event):
            self._tell(what)

    def _fall_silent(self) -> None:
        self._cut = self._loudspeaker.flush() or self._cut

    async def _truncate(self, *, interrupted: bool) -> None:
        """Tells the server how much was really heard. Not before it is known that the reply does not go on."""
        cut, self._cut = self._cut, None
        if cut is not None and interrupted:
            await self._link.send(
                "conversation.item.truncate", item_id=cut.item_id, content_index=0, audio_end_ms=cut.played_ms, event_id="truncate"
            )

    def _fail(self, error: dict[str, Any]) -> None:
        """Answers to `truncate` are no failure: the item may be gone."""
        if error.get("event_id") == "truncate":
            return
        message = str(error.get("message", ""))[:500]
        if error.get("event_id") == "voice":
            raise InputError(message, code="tts.unknown_voice")
        self.last_failure = TransportError("The server refuses what was asked", why=message)

    async def _announce(self) -> None:
        """Tells when a reply begins to be heard."""
        while True:
            await asyncio.sleep(LOOK_S)
            item_id = self._loudspeaker.item_id
            if item_id != self._announced and self._loudspeaker.played_ms > 0:
                self._announced = item_id
                for what in self._book.audible():
                    self._tell(what)

    def _tell(self, what: "Observed") -> None:
        if isinstance(what, RecordReply) and what.failed:
            self.last_failure = TransportError(
                "The server lost the reply", why=what.failed, remedy="Look at the server's log", code=what.failed
            )
        self._observer(self.now, what)


@contextlib.asynccontextmanager
async def conversing(link: RemoteLink, card: Transport, observer: "Observer") -> AsyncIterator[RemoteConversation]:
    """A conversation that runs as long as the block; what ends it before is raised there."""
    conversation = RemoteConversation(link, card, observer)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(conversation.run())
        await conversation.created()
        try:
            yield conversation
        finally:
            running.cancel()
            await card.aclose()


def _first(errors: BaseExceptionGroup[VoiceAgentError]) -> VoiceAgentError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, VoiceAgentError)
    return found
