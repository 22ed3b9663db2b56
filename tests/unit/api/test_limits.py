import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from tests.fake_assembly import fake_assembly
from tests.unit.api.asgi import http
from tests.virtual_time import run_virtual
from voice_agent.api.app import create_app
from voice_agent.api.caller import Caller
from voice_agent.api.capacity import memory_bytes, processors, session_limit
from voice_agent.api.limits import BODY_BYTES, BodyLimit, RateLimit
from voice_agent.api.sessions import LiveSession, SessionRegistry
from voice_agent.errors import AccessError, InputError, OverloadedError
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings

HERE = Caller(address="127.0.0.1")
THERE = Caller(address="192.168.1.7")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestRateLimit:
    def test_a_burst_and_then_the_rate(self) -> None:
        clock = Clock()
        limit = RateLimit(60, clock=clock)
        for _ in range(10):
            limit.take("a")
        with pytest.raises(AccessError) as caught:
            limit.take("a")
        assert caught.value.code == "access.too_many_requests"
        assert caught.value.retry_after_s == pytest.approx(1.0)
        limit.take("b")  # somebody else
        clock.now = 1.0
        limit.take("a")
        with pytest.raises(AccessError):
            limit.take("a")

    def test_one_a_minute_is_possible(self) -> None:
        limit = RateLimit(1, clock=Clock())
        limit.take("a")
        with pytest.raises(AccessError) as caught:
            limit.take("a")
        assert caught.value.retry_after_s == pytest.approx(60.0)

    def test_the_table_is_bounded_and_forgets_who_was_quiet(self) -> None:
        limit = RateLimit(6, clock=Clock(), table_size=3)
        limit.take("busy")
        for number in range(100):
            limit.take(f"{number}")
            with pytest.raises(AccessError):
                limit.take("busy")  # remembered: it asks all the time
        assert len(limit) == 3

    @given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 600))
    def test_never_more_than_burst_and_rate(self, pauses: list[float], per_minute: int) -> None:
        clock = Clock()
        limit = RateLimit(per_minute, clock=clock)
        served, waits = 0, []
        for pause in pauses:
            clock.now += pause
            try:
                limit.take("a")
            except AccessError as error:
                waits.append(error.retry_after_s or 0.0)
            else:
                served += 1
        assert all(0 < wait <= 60 / per_minute + 1e-6 for wait in waits)
        assert served <= max(1.0, per_minute / 6) + clock.now * per_minute / 60 + 1e-6


class TestRequests:
    @staticmethod
    def app(per_minute: int | None) -> FastAPI:
        return create_app(Settings(server=ServerSettings(requests_per_minute=per_minute, max_sessions=1)), fake_assembly())

    async def test_others_are_limited_and_this_machine_is_not(self) -> None:
        app = self.app(None)
        async with http(app) as here, http(app, address="192.168.1.7") as there:
            for _ in range(110):
                assert (await here.get("/metrics")).status_code == 200
            statuses = [(await there.get("/metrics")).status_code for _ in range(110)]
        assert statuses[:100] == [200] * 100
        assert statuses[-1] == 429

    async def test_a_limit_that_was_set_is_for_all_and_tells_when(self) -> None:
        app = self.app(6)
        async with http(app) as here:
            assert (await here.get("/metrics")).status_code == 200
            answer = await here.get("/metrics")
            assert answer.status_code == 429
            assert answer.json()["error"]["type"] == "rate_limit_error"
            assert 1 <= int(answer.headers["retry-after"]) <= 10
            assert (await here.get("/health")).status_code == 200


class TestBody:
    @pytest.fixture
    def app(self) -> FastAPI:
        app = create_app(Settings(server=ServerSettings(max_sessions=1)), fake_assembly())

        @app.post("/v1/size")
        async def size(request: Request) -> int:
            return len(await request.body())

        @app.post("/v1/json")
        async def read(thing: dict[str, Any]) -> int:
            return len(thing)

        return app

    @pytest.mark.parametrize("path", ["/v1/size", "/v1/json"])
    @pytest.mark.parametrize("told", [True, False])
    async def test_too_large(self, app: FastAPI, path: str, told: bool) -> None:
        block = b" " * 65_536
        count = BODY_BYTES // len(block) + 1

        async def pieces() -> Any:
            for _ in range(count):
                yield block

        headers = {"content-type": "application/json"}
        async with http(app) as client:
            answer = await client.post(path, content=block * count if told else pieces(), headers=headers)
        assert answer.status_code == 413
        assert "1 MiB" in answer.json()["error"]["message"]

    async def test_just_right(self, app: FastAPI) -> None:
        async with http(app) as client:
            assert (await client.post("/v1/size", content=b"x" * BODY_BYTES)).json() == BODY_BYTES

    async def test_an_upload_may_be_larger(self) -> None:
        read = 0

        async def app(scope: Any, receive: Callable[[], Any], send: Any) -> None:
            nonlocal read
            read = len((await receive())["body"])

        async def receive() -> Message:
            return {"type": "http.request", "body": b"x" * (BODY_BYTES + 1)}

        async def send(message: Message) -> None:
            raise AssertionError(message)

        scope = {"type": "http", "path": "/v1/audio/transcriptions", "headers": [(b"content-length", b"1048577")]}
        await BodyLimit(app)(scope, receive, send)
        assert read == BODY_BYTES + 1
        with pytest.raises(InputError, match="25 MiB"):
            await BodyLimit(app)({**scope, "headers": [(b"content-length", b"26214401")]}, receive, send)

    def test_one_that_does_not_come_is_given_up(self) -> None:
        from fastapi import HTTPException

        async def app(scope: Any, receive: Callable[[], Any], send: Any) -> None:
            await receive()

        async def never() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            raise AssertionError(message)

        async def script() -> None:
            with pytest.raises(HTTPException) as caught:
                await BodyLimit(app)({"type": "http", "path": "/", "headers": []}, never, send)
            assert caught.value.status_code == 408

        run_virtual(script())


class TestSessions:
    async def test_there_is_room_again_when_one_has_ended(self) -> None:
        sessions = SessionRegistry(limit=1)
        async with sessions.admit("realtime", HERE) as live:
            assert sessions.get(live.session_id) is live
            assert list(sessions) == [live]
            with pytest.raises(OverloadedError):
                async with sessions.admit("realtime", HERE):
                    raise AssertionError("admitted")
        assert live.gone.is_set()
        async with sessions.admit("realtime", HERE):
            assert len(sessions) == 1

    async def test_one_that_fails_gives_its_place_back(self) -> None:
        sessions = SessionRegistry(limit=1)
        with pytest.raises(ValueError, match="x"):
            async with sessions.admit("realtime", HERE):
                raise ValueError("x")
        assert len(sessions) == 0

    async def test_one_client_cannot_take_all_places(self) -> None:
        sessions = SessionRegistry(limit=8)
        async with sessions.admit("realtime", THERE), sessions.admit("realtime", THERE):
            with pytest.raises(OverloadedError) as caught:
                sessions.check_room(THERE)
            assert caught.value.code == "server.client_limit"
            sessions.check_room(Caller(address="192.168.1.7", key_id="k1"))  # a key counts for itself
            sessions.check_room(HERE)

    async def test_a_limit_that_was_set_counts_here_too(self) -> None:
        sessions = SessionRegistry(limit=8, per_client=1)
        async with sessions.admit("realtime", HERE):
            with pytest.raises(OverloadedError):
                sessions.check_room(HERE)

    async def test_ending_one(self) -> None:
        sessions = SessionRegistry(limit=2)
        admitted = asyncio.Event()

        async def serve() -> LiveSession:
            async with sessions.admit("realtime", HERE) as live:
                admitted.set()
                await live.closing.wait()
                return live

        async with asyncio.TaskGroup() as group:
            task = group.create_task(serve())
            await admitted.wait()
            (live,) = sessions
            assert await sessions.end(live.session_id)
        assert (task.result().close_code, len(sessions)) == (1000, 0)
        assert not await sessions.end(live.session_id)

    @staticmethod
    async def _served(sessions: SessionRegistry, talk_s: float, closed: list[tuple[float, int]]) -> None:
        async with sessions.admit("realtime", HERE) as live:
            try:
                async with asyncio.timeout(talk_s):
                    await live.closing.wait()
            except TimeoutError:
                pass
            closed.append((asyncio.get_running_loop().time(), live.close_code))

    def test_draining_lets_them_finish_and_then_ends_them(self) -> None:
        closed: list[tuple[float, int]] = []

        async def script() -> float:
            sessions = SessionRegistry(limit=4)
            async with asyncio.TaskGroup() as group:
                for talk_s in (5.0, 100.0):
                    group.create_task(self._served(sessions, talk_s, closed))
                await asyncio.sleep(0)
                await sessions.drain(30.0)
                with pytest.raises(OverloadedError) as caught:
                    sessions.check_room()
                assert caught.value.code == "server.draining"
            return asyncio.get_running_loop().time()

        assert run_virtual(script()) == pytest.approx(30.0)
        assert [(round(at, 3), code) for at, code in closed] == [(5.0, 1000), (30.0, 1012)]

    def test_draining_waits_no_longer_than_it_must(self) -> None:
        closed: list[tuple[float, int]] = []

        async def script() -> float:
            sessions = SessionRegistry(limit=4)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._served(sessions, 5.0, closed))
                await asyncio.sleep(0)
                await sessions.drain(30.0)
            return asyncio.get_running_loop().time()

        assert run_virtual(script()) == pytest.approx(5.0)

    def test_one_that_does_not_close_holds_nobody_up(self) -> None:
        async def stubborn(sessions: SessionRegistry, end: asyncio.Event) -> None:
            async with sessions.admit("realtime", HERE):
                await end.wait()

        async def script() -> float:
            sessions, end = SessionRegistry(limit=4), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(stubborn(sessions, end))
                await asyncio.sleep(0)
                await sessions.drain(1.0)
                end.set()
            return asyncio.get_running_loop().time()

        assert run_virtual(script()) == pytest.approx(4.0)


class TestCapacity:
    @pytest.mark.parametrize(
        ("processors", "memory", "sessions"),
        [(2.0, 16_000_000_000, 16), (16.0, 64_000_000_000, 128), (4.0, 1_320_000_000, 10), (0.05, 16_000_000_000, 1), (8.0, 0, 1)],
    )
    def test_the_scarcer_of_the_two_decides(self, processors: float, memory: int, sessions: int) -> None:
        assert session_limit(processors, memory) == sessions

    def test_a_container_counts(self, tmp_path: Any) -> None:
        (tmp_path / "cpu.max").write_text("50000 100000\n")
        (tmp_path / "memory.max").write_text("1000000\n")
        assert processors(tmp_path) == 0.5
        assert memory_bytes(tmp_path) == 1_000_000

    def test_a_container_without_limits_does_not(self, tmp_path: Any) -> None:
        (tmp_path / "cpu.max").write_text("max 100000\n")
        (tmp_path / "memory.max").write_text("max\n")
        assert processors(tmp_path) == processors(tmp_path / "none") >= 1
        assert memory_bytes(tmp_path) == memory_bytes(tmp_path / "none") > 10**8
