"""The clients of `bench server`: plain WebSockets that send a microphone's audio in real time, 20 ms an event, and note when the
answer's first audio comes.
"""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from voice_agent.audio.pcm import Samples, to_int16
from voice_agent.cli.bench.measure import FRAME, RATE
from voice_agent.errors import VoiceAgentError

FRAME_S = FRAME / RATE

ROUND_FRAMES = 203
"""A turn begins every 4.06 s: 1.9 s of speech, half a second until the answer, 0.9 s of answer, and some air. Not a whole number
of the VAD's 32 ms windows, so that speech ends at another place in a window each time."""

ROUND_S = ROUND_FRAMES * FRAME_S

SILENCE_MS = 200
"""What the clients ask of server_vad. Over before the final transcript is there (64 ms until silence is known and 150 ms of
stub), so the hold costs nothing and nothing is to be taken off."""

CONNECT_TIMEOUT_S = 30.0

AUDIO = '"type":"response.output_audio.delta"'

SESSION = {
    "type": "realtime",
    "audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": SILENCE_MS, "threshold": 0.5}}},
}


@dataclass(frozen=True, slots=True)
class Script:
    """What every client says: `speech` as ready frames, between turns a second of `quiet`, over and over. Who is silent sends a
    second of `room`. Speech ends `end_s` behind the start of its first frame."""

    speech: Sequence[str]
    quiet: Sequence[str]
    room: Sequence[str]
    end_s: float

    @classmethod
    def of(cls, speech: Samples, quiet: Samples, room: Samples) -> "Script":
        """All at 24 kHz. `speech` ends with its last sample; the rest of its last frame is taken from `quiet`."""
        left = -speech.size % FRAME
        frames = _frames(np.concatenate((speech, quiet[:left])))
        return cls(speech=frames, quiet=_frames(quiet), room=_frames(room), end_s=speech.size / RATE)


def _frames(samples: Samples) -> list[str]:
    pcm = to_int16(samples)
    blocks = [pcm[start : start + FRAME].astype("<i2").tobytes() for start in range(0, pcm.size - FRAME + 1, FRAME)]
    return [f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(block).decode()}"}}' for block in blocks]


@dataclass(slots=True)
class Client:
    """One session. `gaps_s`: from the end of speech to the answer's first audio, for each turn that was answered. `late_s`: how
    long after its time each frame was sent."""

    socket: ClientConnection
    script: Script
    gaps_s: list[float] = field(default_factory=list)
    turns: int = 0
    late_s: list[float] = field(default_factory=list)
    _ended_at: float | None = None

    async def talk(self, start_at: float, rounds: int) -> None:
        """Speaks `rounds` times, from `start_at` (`time.perf_counter`) on; a frame is sent when its last sample is recorded."""
        for number in range(rounds):
            began_at = start_at + number * ROUND_S
            self.turns += 1
            for index in range(ROUND_FRAMES):
                await self._send(self._frame(index), began_at + (index + 1) * FRAME_S)
                if index == len(self.script.speech) - 1:
                    self._ended_at = began_at + self.script.end_s

    def _frame(self, index: int) -> str:
        speech, quiet = self.script.speech, self.script.quiet
        return speech[index] if index < len(speech) else quiet[index % len(quiet)]

    async def be_silent(self, start_at: float, frames: int) -> None:
        """Sends what a microphone gives while nobody speaks."""
        room = self.script.room
        for index in range(frames):
            await self._send(room[index % len(room)], start_at + (index + 1) * FRAME_S)

    async def _send(self, frame: str, due_at: float) -> None:
        wait_s = due_at - time.perf_counter()
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)
        self.late_s.append(max(0.0, time.perf_counter() - due_at))
        await self.socket.send(frame)

    async def listen(self) -> None:
        """Until the connection is closed. Raises `VoiceAgentError` when the server closes it with an error."""
        try:
            async for message in self.socket:
                self._hear(str(message)[:300])
        except ConnectionClosedError as error:
            raise VoiceAgentError("The server of the bench has closed a connection", why=str(error)) from error

    def _hear(self, head: str) -> None:
        """Only the first audio of each answer counts."""
        if AUDIO in head and self._ended_at is not None:
            self.gaps_s.append(time.perf_counter() - self._ended_at)
            self._ended_at = None
        elif head.startswith('{"type":"error"'):
            raise VoiceAgentError("The server of the bench refuses what its client says", why=head)


async def open_client(port: int, script: Script) -> Client:
    """Connected, and the session set up. Raises `VoiceAgentError`."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await connect(
                f"ws://127.0.0.1:{port}/v1/realtime?model=bench", compression=None, max_size=None, ping_interval=None, proxy=None
            )
            await _expect(socket, "session.created")
            await socket.send(orjson.dumps({"type": "session.update", "session": SESSION}).decode())
            await _expect(socket, "session.updated")
    except (OSError, TimeoutError, ConnectionClosed) as error:
        raise VoiceAgentError("A client of the bench could not begin its session", why=str(error) or "no answer") from error
    return Client(socket, script)


async def _expect(socket: ClientConnection, kind: str) -> None:
    event = orjson.loads(await socket.recv())
    if event["type"] != kind:
        raise VoiceAgentError("The server of the bench answers something else", why=f"{event['type']}, not {kind}")
