import pytest

from tests.fake_assembly import FakeAssembly
from tests.unit.api.asgi import http
from voice_agent.api.app import create_app
from voice_agent.engines.base import Fetching, LlmModel, Ready
from voice_agent.engines.fakes import FakeLlm
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.errors import EngineUnavailable
from voice_agent.settings import Settings


class SlashedLlm(FakeLlm):
    model = "openai/gpt-oss-120b"


def assembly() -> FakeAssembly:
    return FakeAssembly(llm=SlashedLlm())


async def test_the_agent_and_every_engine_that_is_ready() -> None:
    async with http(create_app(Settings(), assembly())) as client:
        answer = (await client.get("/v1/models")).json()
    assert answer["object"] == "list"
    assert {(model["id"], model["owned_by"], model["kind"]) for model in answer["data"]} == {
        ("voice-agent", "voice-agent", "agent"), ("script", "fake", "stt"), ("openai/gpt-oss-120b", "fake", "llm"),
        ("tone", "fake", "tts"),
    }  # fmt: skip
    assert {model["object"] for model in answer["data"]} == {"model"}


async def test_an_engine_that_is_not_ready_or_does_not_load_is_not_there() -> None:
    engines = assembly()
    engines.engine_states["tts"] = Fetching(progress=0.5)

    async def load() -> LlmModel:
        raise EngineUnavailable("It does not load", engine="broken")

    engines.llm = EngineRegistry("llm", [EngineSpec(kind="llm", name="broken", probe=Ready, load=load)])
    async with http(create_app(Settings(), engines)) as client:
        answer = (await client.get("/v1/models")).json()
        missing = await client.get("/v1/models/tone")
    assert [model["id"] for model in answer["data"]] == ["voice-agent", "script"]
    assert missing.status_code == 404


@pytest.mark.parametrize("name", ["voice-agent", "tone", "openai/gpt-oss-120b"])
async def test_one_model(name: str) -> None:
    async with http(create_app(Settings(), assembly())) as client:
        answer = await client.get(f"/v1/models/{name}")
    assert answer.status_code == 200
    assert answer.json()["id"] == name


async def test_a_model_that_is_not_there() -> None:
    async with http(create_app(Settings(), assembly())) as client:
        answer = await client.get("/v1/models/gpt-9")
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "model"


async def test_voices_are_listed_with_languages_and_aliases() -> None:
    async with http(create_app(Settings(), assembly())) as client:
        answer = (await client.get("/v1/audio/voices")).json()
        by_model = await client.get("/v1/audio/voices", params={"model": "tone"})
    assert (answer["engine"], answer["model"], answer["blends"]) == ("fake", "tone", False)
    assert [voice["id"] for voice in answer["voices"]][:3] == ["tone", "other", "alloy"]
    assert {voice["language"] for voice in answer["voices"]} == {"en"}
    assert by_model.json() == answer
