"""Speech for tests: the human clips of tests/assets/audio, sentences spoken by espeak-ng, and how texts are compared."""

import csv
import ctypes
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from voice_agent.audio.files import read_audio
from voice_agent.audio.resample import resample
from voice_agent.engines.base import INPUT_RATE, Samples

AUDIO = Path(__file__).parent / "assets" / "audio"
TINY_WHISPER = Path(__file__).parent / "assets" / "tiny-whisper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    file: str
    transcript: str

    def samples(self) -> Samples:
        """At 16 kHz."""
        return _read(AUDIO / self.file)


def clips(prefix: str = "") -> list[Clip]:
    """Those of the manifest whose name begins with `prefix`."""
    with (AUDIO / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [Clip(file=row["file"], transcript=row["transcript"]) for row in rows if row["file"].startswith(prefix)]


def clip(name: str) -> Samples:
    """One clip at 16 kHz; `name` without its ending."""
    return _read(AUDIO / f"{name}.wav")


def _read(path: Path) -> Samples:
    """In a thread, because tests that run on an event loop may read too, where the product may not."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(read_audio, path).result()


# ---------------------------------------------------------------- comparing

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SAME = {word: str(value) for value, word in enumerate(NUMBERS)}
SAME |= {"mister": "mr", "third": "3rd", "fourth": "4th", "fifth": "5th"}


def plain(text: str) -> str:
    """Lower case, no punctuation, numbers as digits, "where's" as "where is": what two right transcripts may differ in."""
    text = text.lower().replace("-", " ").replace("\u2019", "'")
    text = re.sub(r"\b(where|there|what)'s\b", r"\1 is", text)
    text = re.sub(r"[^a-z0-9' ]+", " ", text).replace("blockbooks", "block books")
    return " ".join(SAME.get(word, word) for word in text.split())


# ---------------------------------------------------------------- espeak-ng

_ON_SAMPLES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_SYNCHRONOUS, _NO_EXIT, _UTF8, _RATE = 2, 0x8000, 1, 1


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 200, str(Path(espeakng_loader.get_data_path()).parent).encode(), _NO_EXIT)
    number = ctypes.c_uint
    library.espeak_Synth.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, number, ctypes.c_int, number, number, ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    return library, rate


def say(text: str, *, voice: str = "en-us", words_per_minute: int = 165) -> Samples:
    """`text` spoken, at 16 kHz, with 0.1 s of silence before and 0.2 s after."""
    library, rate = _library()
    blocks: list[Samples] = []

    def collect(block: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int | None) -> int:
        if block and count > 0:
            blocks.append(np.ctypeslib.as_array(block, (count,)).astype(np.float32) / np.float32(32768.0))
        return 0

    callback = _ON_SAMPLES(collect)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, voice
    library.espeak_SetParameter(_RATE, words_per_minute, 0)
    library.espeak_SetSynthCallback(callback)
    data = text.encode() + b"\0"
    assert library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None) == 0
    spoken = resample(np.concatenate(blocks), rate, INPUT_RATE)
    loud = np.flatnonzero(np.abs(spoken) > 0.01)
    return np.concatenate((silence(0.1), spoken[loud[0] : loud[-1]], silence(0.2)))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * INPUT_RATE), dtype=np.float32)
