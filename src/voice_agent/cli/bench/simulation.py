"""A long conversation without engines: what the machine would be told, at the times at which it would be told.

Six turns a minute. Each has a pause in mid-sentence, partials every 256 ms, a final 100 ms after the speech and a reply of some
thirty words, over which the person says "mhm" or, every fourth time, barges in.
"""

from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine

TURN_S = 10.0
"""From the start of one turn to the start of the next."""

WINDOW_S = 0.032
PARTIAL_WINDOWS = 8
FINAL_AFTER_S = 0.1
WORD_S = 0.2

_QUESTION = "I would like to know what time the first train to the coast leaves in the morning?"
_ANSWER = (
    "The first train to the coast leaves at nine minutes past six from platform two, and there is another one at seven "
    "that is a little faster. Shall I book a seat for you?"
)
QUESTION, ANSWER = _QUESTION.split(), _ANSWER.split()

Stamped: TypeAlias = tuple[float, on.Event]
Part: TypeAlias = Generator[Stamped, None, float]
"""Events, and at last the time reached."""


def simulated_hour(current_reply: Callable[[], int], *, minutes: float = 60.0) -> Iterator[Stamped]:
    """Seconds and events, in order. `current_reply` gives the id of the machine's reply at the time when it is asked."""
    utterances = iter(range(1, 1_000_000_000))
    for turn in range(round(minutes * 60.0 / TURN_S)):
        yield from _turn(turn, utterances, current_reply)


def simulate(machine: Machine, *, minutes: float = 60.0) -> int:
    """Feeds the machine as a session would, timers and all; gives the number of events."""
    count = 0
    for at, event in simulated_hour(lambda: machine.reply.reply_id, minutes=minutes):
        while (deadline := machine.next_deadline()) is not None and deadline <= at:
            machine.handle_timer(deadline)
        machine.handle(event, at)
        count += 1
    return count


def _turn(turn: int, utterances: Iterator[int], current_reply: Callable[[], int]) -> Iterator[Stamped]:
    at = 1.0 + turn * TURN_S
    half = len(QUESTION) // 2
    at = yield from _utterance(at, next(utterances), "", QUESTION[:half])
    at = yield from _silence(at, 0.3)
    number = next(utterances)
    at = yield from _utterance(at, number, " ".join(QUESTION[:half]), QUESTION[half:])
    yield at, on.TurnProbability(speaker="user", utterance_id=number, probability=0.97)
    at = yield from _silence(at, 1.3)
    yield from _reply(at, turn, utterances, current_reply())


def _utterance(at: float, number: int, before: str, words: list[str]) -> Part:
    """Speech with its partials, its end and its final."""
    yield at, on.SpeechStarted(speaker="user", utterance_id=number, at=at)
    windows = round(len(words) * WORD_S / WINDOW_S)
    for window in range(1, windows + 1):
        at += WINDOW_S
        yield at, on.AudioAdvanced(speaker="user", at=at)
        if window % PARTIAL_WINDOWS == 0:
            said = " ".join(words[: 1 + window * len(words) // windows])
            yield at, on.TranscriptPartial(speaker="user", utterance_id=number, text=f"{before} {said}".strip())
    yield at, on.SpeechStopped(speaker="user", utterance_id=number, at=at)
    at = yield from _silence(at, FINAL_AFTER_S)
    text = f"{before} {' '.join(words)}".strip()
    yield at, on.TranscriptFinal(speaker="user", utterance_id=number, text=text, confidence=0.95, language="en")
    return at


def _silence(at: float, seconds: float) -> Part:
    for _ in range(round(seconds / WINDOW_S)):
        at += WINDOW_S
        yield at, on.AudioAdvanced(speaker="user", at=at)
    return at


def _reply(at: float, turn: int, utterances: Iterator[int], reply_id: int) -> Iterator[Stamped]:
    for word in ANSWER:
        yield at, on.ReplyTextAdded(reply_id=reply_id, text=f" {word}")
    yield at, on.ReplyGenerated(reply_id=reply_id)
    yield at, on.PlayoutStarted(reply_id=reply_id)
    heard = len(ANSWER) // 2
    for count in range(1, heard + 1):
        at += WORD_S / 2
        yield at, on.PlayoutAdvanced(reply_id=reply_id, heard=" " + " ".join(ANSWER[:count]))
    over_it = ["stop", "it", "please"] if turn % 4 == 3 else ["mhm"]
    yield from _utterance(at, next(utterances), "", over_it)
    yield at + 1.0, on.PlayoutFinished(reply_id=reply_id, heard=" " + " ".join(ANSWER))
