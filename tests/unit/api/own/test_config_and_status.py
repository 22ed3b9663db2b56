"""`/api/config`, `/api/status` and the fetching of weights."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from fastapi import FastAPI

from tests.fake_assembly import FakeAssembly, fake_assembly
from tests.unit.api.asgi import http
from tests.unit.api.own.talker import happens, talking
from voice_agent.api.app import create_app
from voice_agent.api.own.fetching import ModelFetches
from voice_agent.api.own.status import weights_of
from voice_agent.engines.base import Fetching, Unavailable
from voice_agent.errors import ModelError
from voice_agent.models import FetchProgress
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings, TurnSettings


def served(assembly: FakeAssembly | None = None, settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    return create_app(settings, assembly or fake_assembly(settings))


class TestConfig:
    async def test_what_a_web_page_needs(self) -> None:
        settings = Settings(turn=TurnSettings(mode="eager"))
        async with http(served(settings=settings)) as client:
            config = (await client.get("/api/config")).json()
        assert config["realtime"]["path"] == "/v1/realtime"
        assert config["transports"] == ["websocket"]
        assert config["key_required"] is False
        assert config["voices"] == [{"name": "tone", "language": "en"}, {"name": "other", "language": "en"}]
        assert config["heard_languages"] == ["en"]
        assert [mode["name"] for mode in config["turn_modes"] if mode["default"]] == ["eager"]
        assert config["limits"]["append_bytes"] == 15 * 1024 * 1024

    async def test_it_is_there_before_any_engine_is(self) -> None:
        assembly = fake_assembly()
        assembly.engine_states |= {"stt": Unavailable(reason="no"), "tts": Fetching(progress=0.5)}
        async with http(served(assembly)) as client:
            config = (await client.get("/api/config")).json()
        assert (config["voices"], config["heard_languages"], config["spoken_languages"]) == ([], [], [])

    async def test_it_is_behind_the_same_gate_as_everything(self) -> None:
        settings = Settings(server=ServerSettings(require_key=True))
        async with http(served(settings=settings)) as client:
            statuses = [(await client.get(path)).status_code for path in ("/api/config", "/api/status", "/api/sessions")]
            statuses.append((await client.post("/api/models/whisper-base/fetch")).status_code)
        assert statuses == [401] * 4


class TestStatus:
    async def test_engines_sessions_and_latency(self) -> None:
        assembly = fake_assembly()
        app = served(assembly)
        async with talking(app) as (talker, _), http(app) as client:
            talker.ask("hello")
            await talker.until("response.done")
            status = (await client.get("/api/status")).json()
        engines = {kind["kind"]: kind["engines"] for kind in status["engines"]}
        (llm,) = engines["llm"]
        assert (llm["name"], llm["model"], llm["state"]) == ("fake", "script", "ready")
        assert (llm["serves"], llm["sessions"]) == (True, 1)
        assert status["sessions"] == 1
        assert status["hardware"]["processors"] > 0
        assert status["hardware"]["memory_available_bytes"] <= status["hardware"]["memory_bytes"]

    async def test_why_an_engine_is_not_there_and_what_mends_it(self) -> None:
        assembly = fake_assembly()
        assembly.engine_states |= {
            "llm": Unavailable(reason="no key", remedy="set GROQ_API_KEY"),
            "tts": Fetching(progress=0.25, detail="hub"),
        }
        async with http(served(assembly)) as client:
            status = (await client.get("/api/status")).json()
        engines = {kind["kind"]: kind["engines"][0] for kind in status["engines"]}
        assert (engines["llm"]["state"], engines["llm"]["reason"]) == ("unavailable", "no key")
        assert engines["llm"]["remedy"] == "set GROQ_API_KEY"
        assert not engines["llm"]["serves"]
        assert (engines["tts"]["state"], engines["tts"]["progress"]) == ("fetching", 0.25)

    def test_weights_are_those_of_the_catalogue(self) -> None:
        assembly = fake_assembly()
        known = set(assembly.store.catalogue.names())
        found = weights_of(assembly.settings, known)
        assert set(found) == {"moonshine", "smart-turn", "local", "faster-whisper", "kokoro"}
        assert set(found.values()) <= known


class FetchingAssembly(FakeAssembly):
    """Fetches when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.store.offline = False
        self.asked: list[str] = []
        self.go_on = asyncio.Event()
        self.failure: Exception | None = None

    async def fetch(self, names: Iterable[str], report: Callable[[FetchProgress], None]) -> None:
        (name,) = names
        self.asked.append(name)
        self.progress[name] = FetchProgress(model=name, phase="downloading", bytes_done=25, bytes_total=100, source="hub x/y")
        try:
            await self.go_on.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            del self.progress[name]


class TestFetching:
    @pytest.fixture
    def assembly(self) -> FetchingAssembly:
        return FetchingAssembly()

    async def test_it_goes_on_beside_and_asking_twice_does_no_harm(self, assembly: FetchingAssembly) -> None:
        app = served(assembly)
        fetches: ModelFetches = app.state.fetches
        async with http(app) as client, asyncio.TaskGroup() as group:
            running = group.create_task(fetches.run())
            first = await client.post("/api/models/whisper-base/fetch")
            second = await client.post("/api/models/whisper-base/fetch")
            await happens(lambda: bool(assembly.asked))
            third = await client.post("/api/models/whisper-base/fetch")
            status = (await client.get("/api/status")).json()["fetches"]
            assembly.go_on.set()
            await happens(lambda: not fetches.status())
            running.cancel()
        assert [answer.status_code for answer in (first, second, third)] == [202, 202, 202]
        assert first.json()["phase"] == "waiting"
        assert third.json()["progress"] == 0.25
        assert [(fetch["model"], fetch["state"], fetch["source"]) for fetch in status] == [("whisper-base", "fetching", "hub x/y")]
        assert assembly.asked == ["whisper-base"]

    @pytest.mark.parametrize(
        ("failure", "told"),
        [
            (ModelError("The hub is not reachable", remedy="Check the network"), "hub is not reachable"),
            (OSError(5, "x"), "log has"),
        ],
    )
    async def test_a_failure_is_told_and_the_next_is_tried(self, assembly: FetchingAssembly, failure: Exception, told: str) -> None:
        app = served(assembly)
        fetches: ModelFetches = app.state.fetches
        assembly.failure = failure
        assembly.go_on.set()
        async with http(app) as client, asyncio.TaskGroup() as group:
            running = group.create_task(fetches.run())
            for name in ("whisper-base", "whisper-tiny"):
                await client.post(f"/api/models/{name}/fetch")
            await happens(lambda: [fetch.state for fetch in fetches.status()] == ["failed", "failed"])
            running.cancel()
        assert told in fetches.status()[0].failed

    async def test_an_unknown_model(self) -> None:
        async with http(served()) as client:
            answer = await client.post("/api/models/gpt-9/fetch")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert "whisper-base" in answer.json()["error"]["message"]

    async def test_where_fetching_is_switched_off(self) -> None:
        async with http(served()) as client:
            answer = await client.post("/api/models/whisper-base/fetch")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model.offline")
