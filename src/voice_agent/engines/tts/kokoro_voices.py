"""Kokoro's voices: their file, their languages, and blends such as "af_heart:0.7+am_adam:0.3"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from voice_agent.engines.tts.voicing import UNKNOWN_VOICE, unknown_voice
from voice_agent.errors import InputError, ModelError

Style: TypeAlias = NDArray[np.float32]
"""Of a voice, shape (rows, 1, 256): row n - 1 is for a text of n phonemes; the last one for longer texts."""

STYLE_SIZE = 256
MOST_VOICES_IN_BLEND = 8


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language: its ISO 639-1 code, what the phonemizer calls it, and the voice that speaks it unless one is chosen."""

    code: str
    phonemes: str
    voice: str


TONGUES = {
    "a": Tongue("en", "en-us", "af_heart"),
    "b": Tongue("en", "en-gb", "bf_emma"),
    "e": Tongue("es", "es", "ef_dora"),
    "f": Tongue("fr", "fr-fr", "ff_siwis"),
    "h": Tongue("hi", "hi", "hf_alpha"),
    "i": Tongue("it", "it", "if_sara"),
    "j": Tongue("ja", "ja", "jf_alpha"),
    "p": Tongue("pt", "pt-br", "pf_dora"),
    "z": Tongue("zh", "cmn", "zf_xiaobei"),
}
"""By the first letter of a voice's name, as the model's authors named them. There is no German, Dutch, Russian or Korean voice."""


def read_voices(path: Path, remedy: str) -> dict[str, Style]:
    """All voices of the file (27 MB for the 54 real ones). Raises `ModelError`."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            voices = {name: np.asarray(archive[name], dtype=np.float32) for name in sorted(archive.files)}
    except (OSError, ValueError, EOFError, BadZipFile, AttributeError, TypeError, KeyError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not an archive of voices"
        raise ModelError(f"Kokoro's voices file {path.name} cannot be read", why=why, remedy=remedy) from error
    good = {name: style for name, style in voices.items() if style.ndim == 3 and style.shape[1:] == (1, STYLE_SIZE) and len(style)}
    if not good:
        raise ModelError(f"Kokoro's voices file {path.name} holds no voices", remedy=remedy)
    return good


def parse_blend(voice: str, known: Sequence[str]) -> dict[str, float]:
    """Names and weights (their sum is 1) of "name", "name+name" or "name:weight+name:weight". Raises `InputError`."""
    weights: dict[str, float] = {}
    parts = voice.split("+")
    if len(parts) > MOST_VOICES_IN_BLEND:
        raise _bad_blend(voice, f"it blends more than {MOST_VOICES_IN_BLEND} voices")
    for part in parts:
        name, colon, weight = (piece.strip() for piece in part.partition(":"))
        if name not in known:
            raise unknown_voice(name, known)
        weights[name] = weights.get(name, 0.0) + (_weight(weight, voice) if colon else 1.0)
    total = sum(weights.values())
    if total <= 0.0:
        raise _bad_blend(voice, "its weights add up to nothing")
    return {name: weight / total for name, weight in weights.items()}


def _weight(text: str, voice: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise _bad_blend(voice, f"{text[:20]!r} is not a number") from None
    if not isfinite(weight) or weight < 0.0:
        raise _bad_blend(voice, f"the weight {text[:20]} is not positive")
    return weight


def _bad_blend(voice: str, why: str) -> InputError:
    return InputError(
        f"The voice blend {voice[:60]!r} is not possible",
        why=why,
        remedy="Write it as name:weight+name:weight, such as af_heart:0.7+am_adam:0.3",
        code=UNKNOWN_VOICE,
    )


def blend(weights: Mapping[str, float], voices: Mapping[str, Style]) -> Style:
    """The weighted mean of the styles, as long as the shortest of them."""
    rows = min(len(voices[name]) for name in weights)
    mixed = sum(
        (np.float32(weight) * voices[name][:rows] for name, weight in weights.items()), np.zeros((rows, 1, STYLE_SIZE), np.float32)
    )
    return np.asarray(mixed, dtype=np.float32)


def tongue_of(weights: Mapping[str, float]) -> Tongue:
    """The language of a voice, or of the heaviest voice of a blend."""
    heaviest = max(weights, key=lambda name: weights[name])
    return TONGUES.get(heaviest[:1], TONGUES["a"])


def default_voice(language: str, known: Sequence[str]) -> str | None:
    """For an ISO code or tag: the language's usual voice, else any voice of that language, else None."""
    tag = language.lower().replace("_", "-")
    code = tag.split("-")[0]
    prefixes = ["b", "a"] if tag == "en-gb" else [prefix for prefix, tongue in TONGUES.items() if tongue.code == code]
    for prefix in prefixes:
        if TONGUES[prefix].voice in known:
            return TONGUES[prefix].voice
        if of_language := [name for name in known if name.startswith(prefix)]:
            return of_language[0]
    return None
