"""Where the time of a reply went: stages that add up to what the person waited.

Marks are moments on the session's clock, in the order in which the reply depends on them. A mark that came before its
predecessor (speculation was ahead) costs nothing: its stage is 0.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

Mark = Literal["speech_end", "vad", "stt", "llm", "clause", "tts", "hold", "playout"]
"""`speech_end` acoustic end of speech · `vad` it is known · `stt` final transcript · `llm` first text · `clause` first clause
complete · `tts` its first audio · `hold` turn committed · `playout` first sample handed to the listener."""

MARKS: tuple[Mark, ...] = get_args(Mark)


@dataclass(slots=True)
class Waterfall:
    """Of one reply. Marks that never came are None."""

    marks: dict[Mark, float] = field(default_factory=dict)

    def mark(self, name: Mark, at: float) -> None:
        """The first time counts."""
        self.marks.setdefault(name, at)

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds by stage; their sum is `total_ms`."""
        stages: dict[str, float] = {}
        reached: float | None = None
        for name in MARKS:
            at = self.marks.get(name)
            if at is None:
                continue
            if reached is not None:
                stages[name] = round(max(0.0, at - reached) * 1000.0, 1)
            reached = at if reached is None else max(reached, at)
        return stages

    def total_ms(self) -> float | None:
        """From the acoustic end of speech (or the text's arrival) to the first sample, None if it was never heard."""
        start, end = self.marks.get("speech_end"), self.marks.get("playout")
        return None if start is None or end is None else round((end - start) * 1000.0, 1)
