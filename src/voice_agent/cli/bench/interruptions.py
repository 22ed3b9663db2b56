"""Someone makes a sound while the agent speaks: it must fall silent for words, and talk on for "mhm".

The agent says a fixed text, so that nothing here hangs on the language model.
"""

from dataclasses import dataclass
from pathlib import Path

from voice_agent.assembly import Assembly
from voice_agent.audio.pcm import Pcm16, Samples
from voice_agent.cli.bench.clips import Clip
from voice_agent.cli.bench.measure import Disturbance, audible_spans, disturbance, stop_delay
from voice_agent.cli.bench.stage import Scene, scene
from voice_agent.engines.base import INPUT_RATE

LONG_REPLY = (
    "There are a few things worth knowing before you leave. The museum opens at nine in the morning and the first tour starts "
    "half an hour later, so it is best to arrive early. Tickets can be bought at the entrance or on the way there, and children "
    "under twelve go in free. Most visitors begin with the ships on the ground floor, then walk up to the maps and the old "
    "instruments, and end on the roof with a view over the whole harbour. There is a small cafe on the second floor that serves "
    "soup and fresh bread until three, and a garden behind the building where you can rest."
)
"""Half a minute without a question, so that "yeah" answers nothing."""

BEGIN_S = 5.0
"""The agent must have begun by then."""

FIRST_SOUND_S = 1.0
STAGGER_S = 0.13
"""When the person begins: that long into the agent's speech, and each time a little later, so that no word is special."""

WATCHED_S = 2.5
"""Of a barge-in, from the person's first sound."""

AFTERWARDS_S = 2.0
"""Behind a listener's sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BargeIn:
    """`stop_s`: the person's first sound to the agent's last audible sample; None: not within `WATCHED_S`."""

    clip: str
    stop_s: float | None
    heard: str
    acts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backchannel:
    """`effect` is measured on the recording, which cannot tell the rest of the reply from a new one that answers "mhm": that the
    reply was given up (`stopped`) is taken from the session where it says so."""

    sound: str
    effect: Disturbance
    stopped: bool
    heard: str
    acts: tuple[str, ...]


async def _speaking(stage: Scene, index: int) -> bool:
    """Has the agent say the long reply; returns some words into it. False: it did not begin."""
    stage.session.say(LONG_REPLY)
    if not await stage.until(lambda: stage.witness.replies_audible > 0, timeout_s=BEGIN_S):
        return False
    await stage.pass_s(FIRST_SOUND_S + STAGGER_S * (index % 6))
    return True


async def barge_in(assembly: Assembly, clip: Clip, index: int, recordings: Path | None = None) -> BargeIn | None:
    """None: the agent did not begin to speak."""
    async with scene(assembly, f"barge-in-{clip.name}", recordings) as stage:
        if not await _speaking(stage, index):
            return None
        onset_s = stage.say(clip.samples) + clip.speech.start_s
        until_s = onset_s + WATCHED_S
        await stage.pass_s(until_s - stage.tape.now_s)
        acts, heard = tuple(stage.witness.acts), stage.witness.heard
        recorded = stage.tape.agent
    stop_s = stop_delay(audible_spans(recorded), onset_s, until_s=until_s)
    return BargeIn(clip=clip.name, stop_s=stop_s, heard=heard, acts=acts)


async def backchannel(
    assembly: Assembly, name: str, sound: Samples, index: int, control: Pcm16, recordings: Path | None = None
) -> Backchannel | None:
    """`control` as `undisturbed` gives it. None: the agent did not begin to speak."""
    async with scene(assembly, f"backchannel-{index}", recordings) as stage:
        if not await _speaking(stage, index):
            return None
        stage.say(sound)
        await stage.pass_s(sound.size / INPUT_RATE + AFTERWARDS_S)
        acts, heard = tuple(stage.witness.acts), stage.witness.heard
        recorded = stage.tape.agent
    effect = disturbance(recorded, control)
    return Backchannel(sound=name, effect=effect, stopped=effect.stopped or "stopped" in acts, heard=heard, acts=acts)


async def undisturbed(assembly: Assembly, longest_sound_s: float) -> Pcm16:
    """The agent's channel when nobody makes a sound, for as long as the longest of the runs with one."""
    async with scene(assembly, "control") as stage:
        if await _speaking(stage, 5):
            await stage.pass_s(longest_sound_s + AFTERWARDS_S)
        return stage.tape.agent
