"""End of turn by sound alone, with Smart Turn v3.2 (Pipecat's; BSD-2; 8.7 MB, int8) on onnxruntime.

It hears the last eight seconds of a turn and tells how finished they sound. It needs the turn from its beginning: a second cut
out of the middle is nearly always called finished. On synthetic (espeak) speech its answers are inverted; on people's
conversational speech the ends of turns get 0.74 to 0.99. So it shortens or lengthens the hold and never decides alone.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np

from voice_agent.audio.pcm import Samples
from voice_agent.engines.admission import Lane, Priority, Stop
from voice_agent.engines.onnx_session import onnx_errors, open_session
from voice_agent.engines.turn.log_mel import WINDOW_SAMPLES, LogMel
from voice_agent.errors import EngineFailed

MODEL: Final = "smart-turn-v3.2"
REMEDY: Final = f"voice-agent models fetch {MODEL}"


def load(model: Path, *, threads: int = 1) -> "SmartTurn":
    """Loads the .onnx file `model` (50 to 120 ms). `threads` share one inference; two give 50 ms in place of 80.

    Raises `ModelError` when the file is missing or damaged.
    """
    return SmartTurn(open_session(model, model=MODEL, inputs=("input_features",), remedy=REMEDY, threads=threads))


class SmartTurn:
    """One inference at a time for all sessions: batches gain nothing, and speech recognition needs the cores."""

    name = "smart-turn"
    model = MODEL

    def __init__(self, session: Any) -> None:
        self._session = session
        self._features = LogMel()
        self._failures = onnx_errors()
        self._lane = Lane(self.name)

    async def probability(self, turn: Samples, *, session: str) -> float:
        """Probability in [0, 1] that the turn is finished; 0 for a turn without audio. Cancelling drops a waiting call.

        `turn` is 16 kHz audio since the turn began, up to the pause; what is longer than eight seconds counts by its end.
        It is copied, and may change afterwards. Samples that are not finite count as silence.
        """
        heard = turn[-WINDOW_SAMPLES:].copy()
        if heard.size == 0:
            return 0.0
        # Everything in this lane is of one kind; its place behind the finals is that it never takes their thread.
        return await self._lane.run(lambda stop: self._infer(heard, stop), priority=Priority.PARTIAL, session=session)

    async def aclose(self) -> None:
        await self._lane.aclose()

    def _infer(self, heard: Samples, stop: Stop) -> float:
        np.nan_to_num(heard, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        features = self._features(heard.clip(-1.0, 1.0, out=heard))
        if stop():
            return 0.0  # nobody waits
        try:
            (answer,) = self._session.run(None, {"input_features": features})
        except self._failures as error:
            raise EngineFailed("smart-turn failed on a turn", engine=self.name, why=str(error)) from error
        return float(np.clip(answer.reshape(-1)[0], 0.0, 1.0))
