"""A conversation by hand: one call a line, time passed in, for tests of the machine."""

from typing import TypeVar

from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.conversation.machine import Machine
from voice_agent.conversation.settings import ConversationSettings
from voice_agent.conversation.state import Replying
from voice_agent.conversation.transcript import Transcript

E = TypeVar("E")
WINDOW_S = 0.032


class Talk:
    """`effects` are those of the last call, `all` those of all calls."""

    def __init__(self, settings: ConversationSettings | None = None, transcript: Transcript | None = None) -> None:
        self.machine = Machine(settings or ConversationSettings(), transcript)
        self.now = 0.0
        self.effects: list[do.Effect] = []
        self.all: list[do.Effect] = []
        self._utterances: dict[str, int] = {}

    def send(self, event: on.Event) -> list[do.Effect]:
        self.effects = self.machine.handle(event, self.now)
        self.all += self.effects
        return self.effects

    def of(self, kind: type[E]) -> list[E]:
        """Of all effects so far, those of a kind."""
        return [effect for effect in self.all if isinstance(effect, kind)]

    def got(self, kind: type[E]) -> E:
        """The one effect of this kind that the last call had."""
        [found] = [effect for effect in self.effects if isinstance(effect, kind)]
        return found

    def history(self) -> list[tuple[str, str]]:
        return [(item.role, item.text) for item in self.machine.transcript]

    def state(self) -> Replying:
        """Of the agent's reply."""
        return self.machine.reply.state

    # ------------------------------------------------------------ time

    def wait(self, seconds: float) -> list[do.Effect]:
        """Nothing happens; timers fire when they are due. Gives the effects of all of them."""
        until, out = self.now + seconds, []
        while (deadline := self.machine.next_deadline()) is not None and deadline <= until:
            assert deadline > self.now
            self.now = deadline
            out += self.machine.handle_timer(deadline)
        self.now = until
        self.all += out
        self.effects = out
        return out

    def audio(self, seconds: float, speaker: str = "user") -> list[do.Effect]:
        """The speaker's microphone runs on for so long."""
        out = []
        for _ in range(round(seconds / WINDOW_S)):
            out += self.wait(WINDOW_S)
            out += self.send(on.AudioAdvanced(speaker=speaker, at=self.now))
        self.effects = out
        return out

    # ------------------------------------------------------------ a speaker

    def onset(self, speaker: str = "user") -> list[do.Effect]:
        self._utterances[speaker] = self.utterance(speaker) + 1
        return self.send(on.SpeechStarted(speaker=speaker, utterance_id=self._utterances[speaker], at=self.now))

    def utterance(self, speaker: str = "user") -> int:
        return self._utterances.get(speaker, 0)

    def partial(self, text: str, *, speaker: str = "user", confidence: float = 1.0) -> list[do.Effect]:
        return self.send(
            on.TranscriptPartial(speaker=speaker, utterance_id=self.utterance(speaker), text=text, confidence=confidence)
        )

    def stop(self, speaker: str = "user") -> list[do.Effect]:
        return self.send(on.SpeechStopped(speaker=speaker, utterance_id=self.utterance(speaker), at=self.now))

    def final(self, text: str, *, speaker: str = "user", confidence: float = 1.0) -> list[do.Effect]:
        return self.send(
            on.TranscriptFinal(
                speaker=speaker, utterance_id=self.utterance(speaker), text=text, confidence=confidence, language="en"
            )
        )

    def no_final(self, speaker: str = "user") -> list[do.Effect]:
        return self.send(on.TranscriptFailed(speaker=speaker, utterance_id=self.utterance(speaker), code="engine.failed"))

    def says(self, text: str, *, speaker: str = "user", seconds: float = 0.8) -> list[do.Effect]:
        """A whole utterance with its final; the hold runs."""
        self.onset(speaker)
        self.audio(seconds, speaker)
        self.stop(speaker)
        return self.final(text, speaker=speaker)

    def turn(self, text: str, *, speaker: str = "user") -> list[do.Effect]:
        """A whole turn, until its hold is over."""
        self.says(text, speaker=speaker)
        return self.audio(2.0, speaker)

    # ------------------------------------------------------------ the agent

    def writes(self, text: str) -> list[do.Effect]:
        return self.send(on.ReplyTextAdded(reply_id=self.machine.reply.reply_id, text=text))

    def plays(self, heard: str = "") -> list[do.Effect]:
        """Its first sample leaves; `heard` so far."""
        out = self.send(on.PlayoutStarted(reply_id=self.machine.reply.reply_id))
        return out + self.hears(heard) if heard else out

    def hears(self, heard: str) -> list[do.Effect]:
        return self.send(on.PlayoutAdvanced(reply_id=self.machine.reply.reply_id, heard=heard))

    def finishes(self) -> list[do.Effect]:
        reply = self.machine.reply
        return self.send(on.PlayoutFinished(reply_id=reply.reply_id, heard=reply.written))

    def breaks(self, *, partly: bool = False) -> list[do.Effect]:
        return self.send(on.ReplyFailed(reply_id=self.machine.reply.reply_id, code="engine.failed", partly=partly))

    def answers(self, text: str = "One two three four five six.", heard: str = "One two") -> None:
        """In the middle of a reply that is being heard."""
        self.turn("Count for me please.")
        self.writes(text)
        self.plays(heard)
