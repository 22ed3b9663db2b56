"""Silence around a clause: cut at its start, brought to a natural length at its end. Pure functions on 16-bit PCM."""

from dataclasses import dataclass

import numpy as np

from voice_agent.engines.base import Pcm16

AUDIBLE = 184
"""Amplitude of -45 dBFS, from which a sample counts as heard (the threshold of the latency definition in use here)."""

LEAD_S = 0.015
"""Kept before the first audible sample: a soft consonant begins below the threshold. The bound is 20 ms."""

TAIL_S = 0.03
"""Kept after the last audible sample before the pause: a vowel's decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Silence after a clause in seconds, by how it ends, so that clauses join as one speaker would say them.

    Engines disagree (espeak ends at once, Kokoro after 100 to 300 ms), so the end is cut or filled to this length. A turn of
    the person must not wait behind it, hence at most 150 ms.
    """

    sentence_s: float = 0.15
    clause_s: float = 0.08
    none_s: float = 0.0

    def after(self, text: str) -> float:
        """Of a clause with this text."""
        last = text.rstrip(" \t\n\r\"'”’»)]}*_`」』）")[-1:]
        if last and last in ".!?…。！？":
            return self.sentence_s
        return self.clause_s if last and last in ",;:—–、，；：" else self.none_s


def first_audible(pcm: Pcm16) -> int | None:
    """Index of the first sample that is heard; None in silence."""
    loud = np.abs(pcm.astype(np.int32)) >= AUDIBLE
    index = int(np.argmax(loud)) if loud.size else 0
    return index if loud.size and loud[index] else None


def lead_samples(audible: int, rate: int) -> int:
    """How many samples to cut where the first audible one has the index `audible`."""
    return max(0, audible - int(LEAD_S * rate))


def fit_tail(pcm: Pcm16, rate: int, pause_s: float) -> tuple[Pcm16, int]:
    """`pcm` ending `pause_s` after its last sound (cut or filled), and how many of its samples are sound."""
    backwards = first_audible(pcm[::-1])
    if backwards is None:
        return pcm[: int(pause_s * rate)], 0
    sound = min(pcm.size, pcm.size - backwards + int(TAIL_S * rate))
    end = pcm.size - backwards + max(int(pause_s * rate), sound - (pcm.size - backwards))
    if end <= pcm.size:
        return pcm[:end], sound
    return np.concatenate((pcm, np.zeros(end - pcm.size, dtype=np.int16))), sound
