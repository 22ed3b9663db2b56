"""What the assembly makes of the settings."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.fake_assembly import CATALOGUE, fake_assembly
from voice_agent.assembly import Assembly, session_settings
from voice_agent.conversation.events import SpeakerJoined
from voice_agent.engines.base import LlmModel, LlmRequest, Message, Ready, TurnDetector, Unavailable
from voice_agent.engines.fakes import FakeLlm
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.errors import EngineUnavailable, InputError, ModelError
from voice_agent.models import ModelStore
from voice_agent.session.log_format import LogReader
from voice_agent.settings import Settings, load_settings
from voice_agent.transports.in_memory import InMemoryTransport


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


async def damaged() -> TurnDetector:
    raise ModelError("smart-turn-v3.2 cannot be loaded", remedy="voice-agent models fetch smart-turn-v3.2")


async def test_a_conversation_works_without_an_end_of_turn_model_that_does_not_load() -> None:
    assembly = fake_assembly()
    assembly.turn = EngineRegistry("turn", [EngineSpec(kind="turn", name="smart-turn", probe=Ready, load=damaged)])

    engines = await assembly.engines()

    assert engines.turn is None
    state = assembly.states()["turn"]["smart-turn"]
    assert isinstance(state, Unavailable)
    assert state.remedy == "voice-agent models fetch smart-turn-v3.2"


async def test_a_voice_that_nobody_has_tells_which_engines_are_away() -> None:
    assembly = fake_assembly(settings(tts__voice="af_heart"))
    engines = await assembly.engines()
    assembly.engine_states["tts"] = Unavailable(reason="its weights are not here")
    with pytest.raises(InputError, match=r"af_heart.*fake is not ready: its weights are not here.*Choose one of"):
        await assembly.session("s1", InMemoryTransport(), engines=engines)


async def test_an_engine_that_takes_over_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def spec(name: str, engine: FakeLlm) -> EngineSpec[LlmModel]:
        async def load() -> LlmModel:
            engine.name = name
            return engine

        return EngineSpec(kind="llm", name=name, probe=Ready, load=load)

    refusal = EngineUnavailable("groq does not accept the key", engine="groq", code="llm.bad_key")
    assembly = fake_assembly()
    assembly.llm = EngineRegistry("llm", [spec("groq", FakeLlm(lambda _: refusal)), spec("local", FakeLlm())])
    llm = (await assembly.engines()).llm
    request = LlmRequest(session="s1", messages=(Message(role="user", content="Hi"),))

    with caplog.at_level(logging.WARNING):
        assert [delta async for delta in llm.stream(request)]

    assert caplog.messages == ["llm: groq does not accept the key. Until it is back, local serves."]


async def test_a_damaged_language_model_names_the_command_that_mends_it(tmp_path: Path) -> None:
    def broken_model() -> Assembly:
        folder = tmp_path / "smollm2-135m"
        folder.mkdir()
        file = CATALOGUE.find("smollm2-135m").files[0]
        with (folder / file.name).open("wb") as weights:
            weights.truncate(file.bytes)  # the right size, and nothing in it
        return Assembly(settings(llm__engines="local"), ModelStore(tmp_path, offline=True, catalogue=CATALOGUE))

    assembly = await asyncio.to_thread(broken_model)
    with pytest.raises(ModelError, match="not a GGUF file") as caught:
        await assembly._local().load()  # a registry would look at the disk first, which tests forbid on the loop
    assert caught.value.remedy == "voice-agent models fetch smollm2-135m"
