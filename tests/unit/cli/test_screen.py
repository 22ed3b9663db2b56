"""What a person sees of a conversation."""

import io

from voice_agent.cli.screen import LineScreen
from voice_agent.engines.base import EngineKind, EngineState, Ready, Unavailable
from voice_agent.session.report import Speculation, TurnReport

STATES: dict[EngineKind, dict[str, EngineState]] = {
    "turn": {"smart-turn": Unavailable(reason="it is damaged", remedy="fetch it")},
    "llm": {"groq": Ready(), "local": Ready()},
}


def shown(answered: str) -> list[str]:
    """The lines for a reply of this language model, where groq had been chosen."""
    screen = LineScreen(out := io.StringIO())
    screen.engines({"llm": "groq (big)"}, STATES)
    screen.observe(1.0, report(answered))
    return out.getvalue().splitlines()


def report(llm: str) -> TurnReport:
    return TurnReport(
        turn=1, reply_id=1, user_text="Hi.", confidence=1.0, language="en", reply_text="Hello.", heard_text="Hello.",
        interrupted=False, failed="", engines={"llm": llm}, waterfall_ms={"llm": 5.0}, voice_to_voice_ms=5.0,
        speculation=Speculation(hit=True, wasted_tokens=0, drafts=0),
    )  # fmt: skip


def test_a_kind_of_engine_that_is_not_there_is_told_with_its_reason() -> None:
    lines = shown("groq (big)")
    assert lines[:3] == ["  llm  groq (big)", " turn  none", "       smart-turn: it is damaged; fetch it"]
    assert not any("in place of" in line for line in lines)


def test_another_language_model_than_the_chosen_one_is_told() -> None:
    assert "       (answered by local (small), in place of groq (big))" in shown("local (small)")
