import asyncio
import threading

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from tests.fake_assembly import FakeAssembly, fake_assembly
from tests.unit.api.asgi import http
from voice_agent.api.app import create_app
from voice_agent.api.caller import Caller
from voice_agent.api.metrics import observe_session
from voice_agent.conversation.events import ReplyFailed, TranscriptFailed
from voice_agent.engines.admission import Lane, Priority
from voice_agent.engines.base import Unavailable
from voice_agent.errors import OverloadedError
from voice_agent.session.report import Speculation, TurnReport
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings
from voice_agent.telemetry.metrics import Metrics

HERE = Caller(address="127.0.0.1")


def values(text: str) -> dict[str, float]:
    """ "name{label=value}" to number; the text must be what Prometheus can read."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[
                f"{sample.name.removeprefix('voice_agent_')}{{{labels}}}" if labels else sample.name.removeprefix("voice_agent_")
            ] = sample.value
    return found


@pytest.fixture
def assembly() -> FakeAssembly:
    return fake_assembly()


@pytest.fixture
def app(assembly: FakeAssembly) -> FastAPI:
    return create_app(Settings(server=ServerSettings(max_sessions=1)), assembly)


async def scraped(app: FastAPI) -> dict[str, float]:
    async with http(app) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return values(answer.text)


def report(**changes: object) -> TurnReport:
    known: dict[str, object] = {
        "turn": 1,
        "reply_id": 1,
        "user_text": "secret words",
        "confidence": 1.0,
        "language": "en",
        "reply_text": "secret words",
        "heard_text": "secret",
        "interrupted": False,
        "failed": "",
        "engines": {},
        "waterfall_ms": {"vad": 40.0, "stt": 120.0, "hold": 0.0},
        "voice_to_voice_ms": 610.0,
        "speculation": Speculation(hit=True, wasted_tokens=7, drafts=2),
    }
    return TurnReport(**{**known, **changes})  # type: ignore[arg-type]  # the fields above


async def test_a_reply_is_counted_by_its_stages(app: FastAPI) -> None:
    observe = observe_session(app.state.metrics)
    observe(1.0, report())
    observe(2.0, report(interrupted=True, speculation=Speculation(hit=False, wasted_tokens=0, drafts=0)))
    observe(3.0, report(failed="engine.timeout", voice_to_voice_ms=None))
    found = await scraped(app)
    assert found["replies_total{outcome=heard}"] == 1
    assert found["replies_total{outcome=interrupted}"] == 1
    assert found["replies_total{outcome=failed}"] == 1
    assert found["stage_seconds_count{stage=stt}"] == 3
    assert found["stage_seconds_sum{stage=stt}"] == pytest.approx(0.36)
    assert found["stage_seconds_bucket{le=0.1,stage=stt}"] == 0
    assert found["stage_seconds_bucket{le=0.15,stage=stt}"] == 3
    assert found["voice_to_voice_seconds_count"] == 2
    assert found["voice_to_voice_seconds_bucket{le=0.7}"] == 2
    assert found["speculation_total{result=hit}"] == 2
    assert found["speculation_total{result=miss}"] == 1
    assert found["speculation_wasted_tokens_total"] == 14
    assert found["speculation_drafts_total"] == 4


async def test_failures_are_counted_by_their_code(app: FastAPI) -> None:
    observe = observe_session(app.state.metrics)
    observe(1.0, ReplyFailed(reply_id=1, code="engine.timeout", partly=False))
    observe(1.0, TranscriptFailed(speaker="user", utterance_id=1, code="engine.failed"))
    app.state.metrics.underrun()
    async with http(app) as client:
        await client.get("/v1/nothing")
        await client.get("/health", headers={"Host": "evil.example"})
    found = await scraped(app)
    assert found["errors_total{code=engine.timeout}"] == 1
    assert found["errors_total{code=engine.failed}"] == 1
    assert found["errors_total{code=not_found}"] == 1
    assert found["errors_total{code=access.foreign_host}"] == 1
    assert found["underruns_total"] == 1


async def test_requests_by_route_and_status_and_not_by_what_was_asked(app: FastAPI) -> None:
    async with http(app) as client:
        await client.get("/health")
        for word in ("a", "b", "c"):
            await client.get(f"/v1/{word}")
            await client.request(f"X{word}", "/health")
    found = await scraped(app)
    assert found["http_requests_total{method=GET,route=/health,status=200}"] == 1
    assert found["http_requests_total{method=GET,route=other,status=404}"] == 3
    assert found["http_requests_total{method=other,route=/health,status=405}"] == 3
    assert found["http_request_seconds_count{route=/health}"] == 4


async def test_sessions_now_and_so_far(app: FastAPI) -> None:
    sessions = app.state.sessions
    async with sessions.admit("realtime", HERE):
        with pytest.raises(OverloadedError):
            async with sessions.admit("realtime", HERE):
                raise AssertionError("admitted")
        found = await scraped(app)
        assert found["sessions_running{transport=realtime}"] == 1
    found = await scraped(app)
    assert "sessions_running{transport=realtime}" not in found
    assert found["sessions_total{transport=realtime}"] == 1
    assert found["sessions_refused_total{code=server.overloaded}"] == 1
    assert found["sessions_limit"] == 1
    assert found["draining"] == 0


async def test_engines_and_their_queues(app: FastAPI, assembly: FakeAssembly) -> None:
    assembly.engine_states["llm"] = Unavailable(reason="no key")
    lane = Lane("slow", workers=1)
    started, proceed = threading.Event(), threading.Event()

    def job(stop: object) -> None:
        started.set()
        proceed.wait(5.0)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(lane.run(job, priority=Priority.FINAL, session="a"))
        await asyncio.to_thread(started.wait, 5.0)
        found = await scraped(app)
        proceed.set()
    assert found["queue_depth{engine=slow}"] == 2
    assert found["engine_running{engine=slow}"] == 1
    assert found["queue_jobs_total{engine=slow}"] == 1
    assert found["queue_oldest_seconds{engine=slow}"] > 0
    assert found["engine_ready{engine=fake,kind=llm}"] == 0
    assert found["engine_ready{engine=fake,kind=stt}"] == 1
    after = await scraped(app)
    assert after["queue_jobs_total{engine=slow}"] == 3
    assert after["queue_wait_seconds_total{engine=slow}"] > 0
    await lane.aclose()
    assert "queue_depth{engine=slow}" not in await scraped(app)


async def test_the_process_and_its_loop(app: FastAPI) -> None:
    app.state.metrics.loop_lag(0.003)
    found = await scraped(app)
    assert found["event_loop_lag_last_seconds"] == 0.003
    assert found["event_loop_lag_seconds_count"] == 1
    assert found["process_resident_memory_bytes"] > 0


def test_two_servers_in_one_process_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.error("engine.failed")
    assert "errors_total{code=engine.failed}" in values(first.render().decode())
    assert "errors_total{code=engine.failed}" not in values(second.render().decode())


def test_what_was_said_is_nowhere() -> None:
    metrics = Metrics()
    observe_session(metrics)(1.0, report())
    assert b"secret" not in metrics.render()
