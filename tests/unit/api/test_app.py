import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel
from uvicorn.protocols.utils import ClientDisconnected

from tests.fake_assembly import FakeAssembly, fake_assembly
from tests.unit.api.asgi import handshake, http, websocket_scope
from tests.virtual_time import run_virtual
from voice_agent.api.app import create_app
from voice_agent.api.deps import CallerDep, SessionsDep
from voice_agent.api.keys import KeyStore
from voice_agent.engines.base import Fetching, Unavailable
from voice_agent.errors import AudioInputError, EngineFailed, EngineTimeout, EngineUnavailable, ModelError, VoiceAgentError
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings

KEY = "va_never_to_be_seen"


class Thing(BaseModel):
    size: int


@pytest.fixture
def assembly() -> FakeAssembly:
    return fake_assembly()


@pytest.fixture
def app(assembly: FakeAssembly, tmp_path: Path) -> FastAPI:
    """With routes that fail in every way."""
    app = create_app(Settings(server=ServerSettings(max_sessions=2)), assembly, keys=KeyStore(tmp_path / "keys.json"))
    failures: dict[str, Exception] = {
        "known": EngineFailed("Groq failed", engine="groq", why="it said 500"),
        "surprise": RuntimeError(f"the key was {KEY}"),
        "group": ExceptionGroup("several", [ValueError("x"), EngineUnavailable("No llm engine is ready", engine="llm")]),
        "surprising-group": ExceptionGroup("several", [ValueError(KEY)]),
    }

    @app.get("/v1/fail/{name}")
    async def fail(name: str) -> None:
        raise failures[name]

    @app.post("/v1/things")
    async def things(thing: Thing, count: int = 1) -> Thing:
        return thing

    @app.websocket("/v1/socket")
    async def socket(websocket: WebSocket, sessions: SessionsDep, caller: CallerDep, fail: str = "") -> None:
        async with sessions.admit("realtime", caller):
            await websocket.accept(subprotocol="realtime")
            if fail:
                raise failures[fail]
            await websocket.receive()

    return app


class TestErrors:
    async def test_an_unknown_path(self, app: FastAPI) -> None:
        async with http(app) as client:
            answer = await client.get("/v1/nothing")
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert error == {
            "message": "There is nothing at /v1/nothing.",
            "type": "not_found_error",
            "param": None,
            "code": "not_found",
        }

    async def test_a_wrong_method(self, app: FastAPI) -> None:
        async with http(app) as client:
            answer = await client.delete("/health")
        assert answer.status_code == 405
        assert answer.json()["error"]["code"] == "method_not_allowed"
        assert "GET" in answer.headers["allow"]

    @pytest.mark.parametrize(
        ("request_", "param"),
        [
            ({"json": {"size": "big"}}, "size"),
            ({"json": {}}, "size"),
            ({"json": {"size": 1}, "params": {"count": "x"}}, "count"),
            ({"content": b"{", "headers": {"content-type": "application/json"}}, None),
            ({"json": []}, None),
        ],
    )
    async def test_input_that_does_not_fit(self, app: FastAPI, request_: dict[str, Any], param: str | None) -> None:
        async with http(app) as client:
            answer = await client.post("/v1/things", **request_)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, "invalid_value")

    async def test_a_known_failure_has_its_code_and_its_reason(self, app: FastAPI) -> None:
        async with http(app) as client:
            answer = await client.get("/v1/fail/known")
        assert answer.status_code == 502
        assert answer.json()["error"] == {
            "message": "Groq failed (it said 500).",
            "type": "server_error",
            "param": None,
            "code": "engine.failed",
        }

    async def test_the_failure_of_a_task_group_is_that_of_its_task(self, app: FastAPI) -> None:
        async with http(app) as client:
            answer = await client.get("/v1/fail/group")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine.unavailable"

    @pytest.mark.parametrize("name", ["surprise", "surprising-group"])
    async def test_a_surprise_tells_the_client_nothing_but_where_to_look(
        self, app: FastAPI, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with http(app) as client:
            answer = await client.get(f"/v1/fail/{name}")
        assert answer.status_code == 500
        error = answer.json()["error"]
        assert error["code"] == "internal"
        assert KEY not in answer.text
        records = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(records) == 1
        number = records[0].getMessage().split()[2]
        assert number in error["message"]

    async def test_a_client_that_goes_is_nobodys_fault(self, app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
        async def gone(message: object) -> None:
            raise ClientDisconnected

        scope = {**websocket_scope("/health"), "type": "http", "method": "GET", "scheme": "http"}
        await app(scope, asyncio.Event().wait, gone)  # type: ignore[arg-type]  # is never asked
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (AudioInputError("x"), 400),
            (ModelError("x"), 503),
            (EngineTimeout("x", engine="groq"), 504),
            (VoiceAgentError("x"), 500),
        ],
    )
    def test_statuses(self, error: VoiceAgentError, status: int) -> None:
        from voice_agent.api.errors import status_of

        assert status_of(error) == status

    async def test_every_answer_has_the_security_headers(self, app: FastAPI) -> None:
        async with http(app) as client:
            for path in ("/health", "/v1/nothing", "/v1/fail/surprise"):
                headers = (await client.get(path)).headers
                assert headers["x-content-type-options"] == "nosniff"
                assert "frame-ancestors 'none'" in headers["content-security-policy"]
                assert (headers.get("cache-control") == "no-store") is path.startswith("/v1")


class TestWebSockets:
    async def test_an_unknown_path_is_refused_in_the_envelope(self, app: FastAPI) -> None:
        seen = await handshake(app, websocket_scope("/v1/nothing"))
        assert seen.status == 404
        assert seen.error["code"] == "not_found"

    async def test_past_the_limit_the_handshake_is_refused_with_a_time(self, app: FastAPI) -> None:
        leave = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                answered = asyncio.Event()
                group.create_task(handshake(app, websocket_scope("/v1/socket"), then=leave, answered=answered))
                await answered.wait()
            third = await handshake(app, websocket_scope("/v1/socket"))
            leave.set()
        assert third.status == 503
        assert third.headers["retry-after"] == "5"
        assert third.error["code"] == "server.overloaded"
        assert len(app.state.sessions) == 0

    async def test_a_surprise_closes_the_socket(self, app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
        scope = websocket_scope("/v1/socket")
        scope["query_string"] = b"fail=surprise"
        seen = await handshake(app, scope)
        assert seen.status == 101
        assert seen.messages[-1]["type"] == "websocket.close"
        assert seen.messages[-1]["code"] == 1011
        assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
        assert len(app.state.sessions) == 0


class TestHealth:
    async def test_alive_and_not_ready_before_the_engines_are_loaded(self, app: FastAPI) -> None:
        async with http(app) as client:
            assert (await client.get("/health")).json() == {"status": "alive"}
            answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"ready": False, "reasons": ["The engines are being loaded."], "sessions": 0, "limit": 2}

    async def test_ready_when_they_are(self, app: FastAPI) -> None:
        async with app.router.lifespan_context(app), http(app) as client:
            await app.state.readiness.load()
            answer = await client.get("/ready")
            assert (answer.status_code, answer.json()["ready"]) == (200, True)

    async def test_an_engine_that_goes_is_told(self, app: FastAPI, assembly: FakeAssembly) -> None:
        async with app.router.lifespan_context(app), http(app) as client:
            await app.state.readiness.load()
            assembly.engine_states["llm"] = Unavailable(reason="no key", remedy="set GROQ_API_KEY")
            assembly.engine_states["tts"] = Fetching(progress=0.4)
            assembly.engine_states["turn"] = Unavailable(reason="its weights are not here")
            answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == [
            "llm: no engine is ready (fake: no key, set GROQ_API_KEY)",
            "tts: no engine is ready (fake: its weights are being fetched, 40%)",
        ]

    def test_engines_that_fail_at_first_are_tried_again(self, app: FastAPI, assembly: FakeAssembly) -> None:
        reasons = []

        async def script() -> float:
            assembly.engine_states["stt"] = Fetching(progress=0.5)
            async with asyncio.TaskGroup() as group:
                group.create_task(app.state.readiness.load())
                await asyncio.sleep(5.0)
                reasons.extend(app.state.readiness.reasons())
                assembly.engine_states.clear()
            return asyncio.get_running_loop().time()

        assert run_virtual(script()) == pytest.approx(7.0)  # tried at 0, 1, 3 and 7 s
        assert reasons == ["stt: no engine is ready (fake: its weights are being fetched, 50%)"]
        assert app.state.readiness.reasons() == []

    async def test_not_ready_while_it_drains(self, app: FastAPI) -> None:
        await app.state.readiness.load()
        await app.state.sessions.drain(0.0)
        async with http(app) as client:
            answer = await client.get("/ready")
        assert answer.status_code == 503
        assert "about to stop" in answer.json()["reasons"][0]

    async def test_the_engines_end_with_the_server(self, app: FastAPI, assembly: FakeAssembly) -> None:
        async with app.router.lifespan_context(app):
            await assembly.engines()
        with pytest.raises(ExceptionGroup) as caught:
            await assembly.engines()
        assert caught.group_contains(EngineUnavailable)


class TestOpenApi:
    async def test_errors_and_keys_are_ours(self, app: FastAPI) -> None:
        async with http(app) as client:
            page = (await client.get("/openapi.json")).json()
        assert "HTTPValidationError" not in str(page)
        operation = page["paths"]["/v1/realtime/client_secrets"]["post"]
        assert operation["security"] == [{"key": []}, {}]
        assert operation["responses"]["400"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorAnswer")
        assert "ErrorBody" in page["components"]["schemas"]
        assert "security" not in page["paths"]["/health"]["get"]

    async def test_no_page_that_loads_scripts_of_others(self, app: FastAPI) -> None:
        async with http(app) as client:
            assert (await client.get("/docs")).status_code == 404
            assert (await client.get("/redoc")).status_code == 404
