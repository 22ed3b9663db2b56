"""The lane: who may use an engine's threads, and when."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from voice_agent.engines.admission import Lane, Priority, Stop
from voice_agent.errors import EngineFailed, EngineUnavailable

FINAL, PARTIAL, BACKGROUND = Priority.FINAL, Priority.PARTIAL, Priority.BACKGROUND


class Gate:
    """A job that holds its thread until the test lets it go, or until it is asked to stop."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.released = threading.Event()
        self.stop: Stop | None = None

    def __call__(self, stop: Stop) -> str:
        self.stop = stop
        self.started.set()
        self.released.wait(10)
        return "gate"


class Bench:
    """A lane of one worker that the test holds busy while it queues jobs, then lets go."""

    def __init__(self, *, limit: int = 64) -> None:
        self.lane = Lane("engine", limit=limit)
        self.gate = Gate()
        self.done: list[str] = []
        self.tasks: dict[str, asyncio.Task[str]] = {}

    async def hold(self) -> None:
        self.tasks["gate"] = asyncio.create_task(self.lane.run(self.gate, priority=FINAL, session="gate"))
        await asyncio.to_thread(self.gate.started.wait)

    async def queue(self, name: str, *, priority: Priority = PARTIAL, session: str = "a") -> asyncio.Task[str]:
        """Returns when the job waits in the lane, or was refused."""

        def job(_stop: Stop) -> str:
            self.done.append(name)
            return name

        self.tasks[name] = asyncio.create_task(self.lane.run(job, priority=priority, session=session))
        await asyncio.sleep(0)
        return self.tasks[name]

    async def release(self) -> None:
        self.gate.released.set()
        await asyncio.wait(self.tasks.values())


@pytest.fixture
async def make_bench() -> AsyncIterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(*, limit: int = 64) -> Bench:
        benches.append(Bench(limit=limit))
        return benches[-1]

    yield make
    for bench in benches:
        bench.gate.released.set()
        await bench.lane.aclose()


@pytest.fixture
async def bench(make_bench: Callable[..., Bench]) -> Bench:
    bench = make_bench()
    await bench.hold()
    return bench


def threads_of(engine: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"{engine}-")]


async def test_a_job_gives_its_result_and_its_time_in_the_queue(make_bench: Callable[..., Bench]) -> None:
    lane = make_bench().lane
    queued_s = await lane.run(lambda stop: stop.queued_s, priority=FINAL, session="a")
    assert 0.0 <= queued_s < 5.0


async def test_a_job_runs_in_a_thread_named_after_the_engine(make_bench: Callable[..., Bench]) -> None:
    lane = make_bench().lane
    assert await lane.run(lambda _stop: threading.current_thread().name, priority=FINAL, session="a") == "engine-0"


async def test_what_a_job_raises_reaches_its_caller_and_the_worker_lives(make_bench: Callable[..., Bench]) -> None:
    lane = make_bench().lane

    def fail(_stop: Stop) -> None:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError):
        await lane.run(fail, priority=FINAL, session="a")
    assert await lane.run(lambda _stop: 1, priority=FINAL, session="a") == 1


async def test_stop_iteration_is_a_failure_and_not_a_hang(make_bench: Callable[..., Bench]) -> None:
    lane = make_bench().lane
    with pytest.raises(EngineFailed):
        await lane.run(lambda _stop: next(iter(())), priority=FINAL, session="a")


async def test_finals_go_before_partials_before_background(bench: Bench) -> None:
    for name, priority in (("b1", BACKGROUND), ("p1", PARTIAL), ("f1", FINAL), ("b2", BACKGROUND), ("p2", PARTIAL), ("f2", FINAL)):
        await bench.queue(name, priority=priority, session=name)
    assert bench.lane.waiting() == 6
    assert bench.lane.waiting(FINAL) == 2
    await bench.release()
    assert bench.done == ["f1", "f2", "p1", "p2", "b1", "b2"]
    assert bench.lane.waiting() == 0


async def test_a_busy_session_cannot_starve_a_quiet_one(bench: Bench) -> None:
    for number in range(4):
        await bench.queue(f"busy{number}", session="busy")
    await bench.queue("quiet0", session="quiet")
    await bench.queue("quiet1", session="quiet")
    await bench.release()
    assert bench.done == ["busy0", "quiet0", "busy1", "quiet1", "busy2", "busy3"]


async def test_shares_count_while_there_is_a_queue_and_not_before(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    for _ in range(10):
        await bench.lane.run(lambda _stop: None, priority=PARTIAL, session="old")
    await bench.hold()
    for name in ("old0", "old1", "new0", "new1"):
        await bench.queue(name, session=name[:3])
    await bench.release()
    assert bench.done == ["old0", "new0", "old1", "new1"]


async def test_jobs_that_were_cancelled_do_not_count_against_their_session(bench: Bench) -> None:
    for number in range(5):
        task = await bench.queue(f"cancelled{number}", session="a")
        task.cancel()
        await asyncio.wait({task})
    await bench.queue("a", session="a")
    await bench.queue("b", session="b")
    await bench.release()
    assert bench.done == ["a", "b"]


async def test_a_forgotten_session_starts_anew(bench: Bench) -> None:
    await bench.queue("a0", session="a")
    await bench.queue("a1", session="a")
    bench.lane.forget("a")
    bench.lane.forget("nobody")
    await bench.queue("a2", session="a")
    await bench.release()
    assert bench.done == ["a0", "a2", "a1"]


async def test_sessions_that_nobody_forgets_do_not_pile_up(make_bench: Callable[..., Bench]) -> None:
    lane = make_bench().lane
    for number in range(100):
        await lane.run(lambda _stop: None, priority=PARTIAL, session=f"session {number}")
    assert lane._served == {}


async def test_a_full_lane_refuses_the_newest_of_the_lowest_priority(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(limit=3)
    await bench.hold()
    await bench.queue("f", priority=FINAL)
    await bench.queue("b-old", priority=BACKGROUND)
    await bench.queue("b-new", priority=BACKGROUND)
    await bench.queue("b-late", priority=BACKGROUND)
    await bench.queue("p", priority=PARTIAL)
    await bench.release()
    assert bench.done == ["f", "p", "b-old"]
    for name in ("b-late", "b-new"):
        error = bench.tasks[name].exception()
        assert isinstance(error, EngineUnavailable)
        assert error.code == "engine.overloaded"
        assert error.retryable
        assert "3 jobs" in str(error)


async def test_a_full_lane_of_finals_refuses_a_final(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(limit=1)
    await bench.hold()
    await bench.queue("first", priority=FINAL)
    refused = await bench.queue("second", priority=FINAL)
    assert isinstance(refused.exception(), EngineUnavailable)
    await bench.release()
    assert bench.done == ["first"]


async def test_cancelled_jobs_take_no_room(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(limit=2)
    await bench.hold()
    for number in range(6):
        task = await bench.queue(f"cancelled{number}")
        task.cancel()
        await asyncio.wait({task})
        assert bench.lane.waiting() == 0
    await bench.queue("kept")
    await bench.release()
    assert bench.done == ["kept"]


async def test_cancelling_a_running_job_tells_it_to_stop(bench: Bench) -> None:
    bench.tasks["gate"].cancel()
    await asyncio.wait({bench.tasks["gate"]})
    assert bench.gate.stop is not None
    assert bench.gate.stop()
    await bench.queue("next")
    await bench.release()
    assert bench.done == ["next"]


async def test_several_workers_work_at_once() -> None:
    lane = Lane("pair", workers=2)
    both = threading.Barrier(2, timeout=10)
    try:
        places = await asyncio.gather(*(lane.run(lambda _stop: both.wait(), priority=PARTIAL, session="a") for _ in range(2)))
        assert sorted(places) == [0, 1]
    finally:
        await lane.aclose()


async def test_closing_answers_everyone_and_leaves_no_thread(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    released_by_stop = threading.Event()
    started = threading.Event()

    def polite(stop: Stop) -> str:
        started.set()
        while not stop():
            released_by_stop.wait(0.001)
        return "half a result"

    running = asyncio.create_task(bench.lane.run(polite, priority=FINAL, session="a"))
    await asyncio.to_thread(started.wait)
    waiting = await bench.queue("waiting")
    await bench.lane.aclose()
    for task in (running, waiting):
        await asyncio.wait({task})
        assert isinstance(task.exception(), EngineUnavailable)
    assert bench.done == []
    assert threads_of("engine") == []
    await bench.lane.aclose()
    with pytest.raises(EngineUnavailable, match="shut down"):
        await bench.lane.run(lambda _stop: 1, priority=FINAL, session="a")


async def test_closing_does_not_wait_for_native_code_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice_agent.engines.admission.JOIN_TIMEOUT_S", 0.05)
    await bench.lane.aclose()
    assert isinstance(bench.tasks["gate"].exception(), EngineUnavailable)
    assert threads_of("engine") == ["engine-0"]  # ends on its own once the gate opens
    bench.gate.released.set()


async def test_an_idle_worker_keeps_nothing_of_the_last_job(make_bench: Callable[..., Bench]) -> None:
    import weakref

    class Audio:
        pass

    lane = make_bench().lane
    audio = Audio()
    gone = weakref.ref(audio)

    async def use(held: Audio) -> None:
        await lane.run(lambda _stop: repr(held), priority=FINAL, session="a")

    await use(audio)
    del audio
    await lane.run(lambda _stop: None, priority=FINAL, session="a")  # the worker has left the first job by now
    assert gone() is None


def test_a_loop_that_has_closed_harms_nothing() -> None:
    lane = Lane("orphan")
    gate = Gate()

    async def leave() -> None:
        task = asyncio.create_task(lane.run(gate, priority=FINAL, session="a"))
        await asyncio.to_thread(gate.started.wait)
        task.cancel()

    asyncio.run(leave())
    gate.released.set()

    async def come_back() -> int:
        try:
            return await lane.run(lambda _stop: 7, priority=FINAL, session="a")
        finally:
            await lane.aclose()

    assert asyncio.run(come_back()) == 7
