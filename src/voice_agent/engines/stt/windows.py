"""Decoding audio of any length: it is cut into windows that an engine can take, and the texts are joined. Runs on a worker."""

from dataclasses import dataclass, replace

from voice_agent.engines.base import INPUT_RATE, Samples
from voice_agent.engines.stt.buffer import SPEECH_RANGE, loudest, quietest_cut
from voice_agent.engines.stt.recogniser import Decoded, DecodeRequest, Recogniser, Stopped

LONGEST_WINDOW = 16 * INPUT_RATE
"""Speech without a pause is cut past 16 s. Cost grows with the square of the length, and Whisper's encoder ends at 30 s."""

CUT_FROM, CUT_TO = 6 * INPUT_RATE, 12 * INPUT_RATE
"""Where the cut may fall: enough context on both sides."""

SHORTEST_WINDOW = INPUT_RATE // 10
"""No word is shorter than 100 ms; encoders need about 60 ms."""

SILENCE_RMS = 1e-4
"""-80 dBFS: three steps of a 16-bit sample. Below it there is nothing to recognise, whatever a model says ("You")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One window's text. `peak` is the loudest level of its turn so far."""

    decoded: Decoded
    samples: int
    peak: float


def decode_pieces(
    recogniser: Recogniser, samples: Samples, request: DecodeRequest, stop: Stopped, *, peak: float = 0.0
) -> list[Piece]:
    """Windows of `samples` in order, one where they fit into one. Stops early (after at least one) when `stop` is set."""
    pieces: list[Piece] = []
    rest = samples
    while True:
        cut = quietest_cut(rest, CUT_FROM, CUT_TO) if rest.size > LONGEST_WINDOW else rest.size
        window, rest = rest[:cut], rest[cut:]
        peak = max(peak, loudest(window))
        decoded = _decode_window(recogniser, window, request, stop, peak)
        pieces.append(Piece(decoded=decoded, samples=cut, peak=peak))
        if rest.size == 0 or stop():
            return pieces
        request = replace(request, context=f"{request.context} {decoded.text}".strip(), draft=())


def _decode_window(recogniser: Recogniser, window: Samples, request: DecodeRequest, stop: Stopped, peak: float) -> Decoded:
    level = loudest(window)
    # On a window of room noise alone models invent words; behind speech, in the same window, they do not.
    if window.size < SHORTEST_WINDOW or level < SILENCE_RMS or level < peak * SPEECH_RANGE:
        return Decoded(text="", language=request.language or "", serves_as_final=True)
    return recogniser.decode(window, request, stop)
