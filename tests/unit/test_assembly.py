"""What the assembly makes of the settings."""

import asyncio
from pathlib import Path

import pytest

from tests.fake_assembly import fake_assembly
from voice_agent.assembly import session_settings
from voice_agent.conversation.events import SpeakerJoined
from voice_agent.session.log_format import LogReader
from voice_agent.settings import Settings, load_settings


def settings(**flags: object) -> Settings:
    return load_settings({name.replace("__", "."): value for name, value in flags.items()}, env={}).values


async def test_no_event_log_is_written_unless_it_is_wanted() -> None:
    async with fake_assembly(settings()).recorder("s1") as recorder:
        assert recorder is None


def test_an_event_log_is_complete_when_the_session_is_over(tmp_path: Path) -> None:
    assembly = fake_assembly(settings(log__events_dir=str(tmp_path)))

    async def record() -> None:
        async with assembly.recorder("s1") as recorder:
            assert recorder is not None
            recorder(1.0, SpeakerJoined(speaker="user"), [])

    asyncio.run(record())
    (log,) = tmp_path.glob("*.jsonl")
    reader = LogReader(log)
    assert reader.header.session == "s1"
    assert reader.header.settings == session_settings(assembly.settings).conversation
    assert len(list(reader.steps())) == 1


@pytest.mark.parametrize(("mode", "shorter"), [("eager", "balanced"), ("balanced", "patient")])
def test_turn_modes_wait_for_longer_and_longer(mode: str, shorter: str) -> None:
    def holds(name: str) -> tuple[float, float]:
        endpointing = session_settings(settings(turn__mode=name)).conversation.endpointing
        return endpointing.min_hold_s, endpointing.max_hold_s

    assert holds(mode) < holds(shorter)


def test_a_session_gets_its_slice_of_the_settings() -> None:
    made = session_settings(
        settings(audio__chunk_samples=2048, turn__barge_in="off", tts__speed=1.2, llm__max_tokens=99, stt__language="es")
    )

    assert made.listening.chunk_samples == 2048
    assert made.listening.language == "es"
    assert not made.conversation.interruption.enabled
    assert made.voice.speed == 1.2
    assert made.max_tokens == 99
