"""espeak-ng (GPL-3, out of the wheel espeakng-loader) through ctypes: one library, one lock, synchronous synthesis.

Its state is global to the process, so a second copy cannot be made and every call is under `_LOCK`. phonemizer, which Kokoro
uses, loads a private copy of the file and does not share this state.
"""

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from voice_agent.engines.base import Pcm16
from voice_agent.errors import EngineFailed, EngineUnavailable

_SYNCHRONOUS = 2
_RETURN_ON_ERROR = 0x8000  # without it a missing data folder ends the process
_UTF8 = 1
_RATE = 1  # parameter number
_WORD, _END_OF_LIST = 1, 0  # event types
_POSITION_IN_CHARACTERS = 1

WORDS_PER_MINUTE = 170
"""At speed 1.0; the library's default is 175, conversational English about 150 to 170."""

_LOCK = threading.Lock()

OnAudio: TypeAlias = Callable[[Pcm16, list[tuple[int, int]]], bool]
"""Takes a block of samples and the words that begin about here, as (character in the text, sample), both from 0. True: stop."""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """Made by `library()`, once per process, and never unloaded."""

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self._native: Any = ctypes.CDLL(espeakng_loader.get_library_path())
            data = Path(espeakng_loader.get_data_path())
        except (ImportError, OSError, RuntimeError) as error:
            raise _unavailable(str(error)) from error
        self._native.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.sample_rate = int(self._native.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _RETURN_ON_ERROR))
        if self.sample_rate <= 0:
            raise _unavailable(f"its data in {data} cannot be read")
        self.languages = self._languages()
        self.variants = sorted(path.name for path in (data / "voices" / "!v").iterdir() if " " not in path.name)

    def _languages(self) -> dict[str, str]:
        """Language tag in lower case to the identifier by which the library finds that voice."""
        voices, found, index = self._native.espeak_ListVoices(None), dict[str, str](), 0
        while voices[index]:
            voice = voices[index].contents
            # The first byte of `languages` is a priority.
            found.setdefault(voice.languages[1:].decode().lower(), voice.identifier.decode())
            index += 1
        return found

    def synthesise(self, text: str, *, voice: str, speed: float, on_audio: OnAudio) -> None:
        """Blocks until the text is spoken or `on_audio` stops it (within one block of 60 ms of audio: well under 1 ms)."""
        encoded = text.encode()
        with _LOCK:
            if self._native.espeak_SetVoiceByName(voice.encode()) != 0:
                raise EngineFailed(f"espeak cannot load its voice {voice!r}", engine="espeak")
            self._native.espeak_SetParameter(_RATE, round(WORDS_PER_MINUTE * speed), 0)
            callback = _Callback(_Blocks(on_audio))
            self._native.espeak_SetSynthCallback(callback)
            result = self._native.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_IN_CHARACTERS, 0, _UTF8, None, None)
        if result != 0:
            raise EngineFailed("espeak could not speak a text", engine="espeak", why=f"its error number is {result}")


class _Blocks:
    """The native callback: copies each block, since the library uses its buffer again."""

    def __init__(self, on_audio: OnAudio) -> None:
        self._on_audio = on_audio

    def __call__(self, wave: Any, count: int, events: Any) -> int:
        words, index = [], 0
        while events[index].type != _END_OF_LIST:
            if events[index].type == _WORD:
                words.append((events[index].text_position - 1, events[index].sample))
            index += 1
        if not wave:
            return 0  # the end
        pcm: Pcm16 = np.ctypeslib.as_array(wave, (count,)).copy() if count > 0 else np.zeros(0, dtype=np.int16)
        return 1 if self._on_audio(pcm, words) else 0


def _unavailable(why: str) -> EngineUnavailable:
    return EngineUnavailable(
        "espeak cannot be loaded",
        engine="espeak",
        why=why,
        remedy="Install it again: pip install --force-reinstall espeakng-loader",
    )


@cache
def _load() -> Library:
    return Library()


def library() -> Library:
    """The process's one library. Raises `EngineUnavailable`. A few milliseconds the first time."""
    with _LOCK:
        return _load()
