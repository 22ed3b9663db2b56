"""Who may use an engine's threads, and when.

A `Lane` is a fixed number of worker threads behind one bounded queue. Order: by priority (final > partial > background), then
fair between sessions (each session's next job gets a later virtual start, so that a busy one cannot starve a quiet one),
then by arrival. When the queue is full, the newest job of the lowest priority, the new one included, is refused.
"""

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from voice_agent.errors import EngineFailed, EngineUnavailable

T = TypeVar("T")

QUEUE_LIMIT = 64
"""Jobs that may wait in one lane. At 100 ms a job on one thread, 64 jobs are 6 s: beyond that an answer is of no use."""

JOIN_TIMEOUT_S = 1.5
"""A session has 2 s to close; a worker that is inside native code past this is left to end on its own (daemon thread)."""


class Priority(IntEnum):
    FINAL = 0
    PARTIAL = 1
    BACKGROUND = 2


class Stop:
    """Set when nobody waits for a job's result any more. A job that can end early asks it between steps."""

    __slots__ = ("_event", "queued_s")

    def __init__(self) -> None:
        self._event = threading.Event()
        self.queued_s = 0.0
        """How long the job waited for a thread; set before it runs."""

    def set(self) -> None:
        self._event.set()

    def __call__(self) -> bool:
        return self._event.is_set()


@dataclass(order=True, slots=True)
class _Job:
    priority: int
    virtual_start: int
    order: int
    session: str = field(compare=False)
    run: Callable[[Stop], Any] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    queued_at: float = field(compare=False)
    stop: Stop = field(compare=False, default_factory=Stop)

    def answer(self, *, result: Any = None, error: BaseException | None = None) -> None:
        """Hands the outcome to the caller's loop, from any thread. The first answer stands."""
        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody waits
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStats:
    """How busy a lane is. `served` jobs have got a thread so far, after `waited_s` in the queue all together; the one that
    waits longest now has waited `oldest_s`."""

    engine: str
    workers: int
    waiting: int
    running: int
    oldest_s: float
    served: int
    waited_s: float


_lanes: "weakref.WeakSet[Lane]" = weakref.WeakSet()


def lane_stats() -> list[LaneStats]:
    """Of every lane of this process that is open. From any thread."""
    return [lane.stats() for lane in list(_lanes) if not lane.closed]


class Lane:
    """Runs blocking jobs in `workers` threads named after `engine`."""

    def __init__(self, engine: str, *, workers: int = 1, limit: int = QUEUE_LIMIT) -> None:
        self._engine = engine
        self._limit = limit
        self._heap: list[_Job] = []
        self._running: list[_Job] = []
        self._ready = threading.Condition()
        """Guards everything here that changes."""
        self._order = itertools.count()
        self._served: dict[str, int] = {}
        self._virtual_now = 0
        self._closed = False
        self._jobs_served = 0
        self._waited_s = 0.0
        self._threads = [threading.Thread(target=self._work, name=f"{engine}-{index}", daemon=True) for index in range(workers)]
        for thread in self._threads:
            thread.start()
        _lanes.add(self)

    async def run(self, job: Callable[[Stop], T], *, priority: Priority, session: str) -> T:
        """The job's result. Cancelling the caller drops a waiting job and sets `stop` of a running one.

        Raises `EngineUnavailable` when the lane is full (code "engine.overloaded") or closed, and what the job raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        entry = self._admit(job, priority, session, loop, future)
        try:
            return await future
        finally:
            entry.stop.set()
            self._withdraw(entry)

    def waiting(self, priority: Priority | None = None) -> int:
        """How many jobs wait for a thread (of this priority)."""
        with self._ready:
            return sum(1 for job in self._heap if priority is None or job.priority == priority)

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    def stats(self) -> LaneStats:
        """How busy it is now. From any thread."""
        with self._ready:
            oldest = min((job.queued_at for job in self._heap), default=None)
            return LaneStats(
                engine=self._engine,
                workers=len(self._threads),
                waiting=len(self._heap),
                running=len(self._running),
                oldest_s=0.0 if oldest is None else time.monotonic() - oldest,
                served=self._jobs_served,
                waited_s=self._waited_s,
            )

    def forget(self, session: str) -> None:
        """The session has ended."""
        with self._ready:
            self._served.pop(session, None)

    async def aclose(self) -> None:
        """Refuses new jobs, answers waiting and running ones with `EngineUnavailable`, asks the running ones to stop, joins
        the threads. Idempotent."""
        with self._ready:
            self._closed = True
            waiting, self._heap = self._heap, []
            for job in (*waiting, *self._running):
                job.stop.set()
                job.answer(error=self._shut_down())
            self._ready.notify_all()
        if any(thread.is_alive() for thread in self._threads):
            await asyncio.to_thread(self._join)

    def _admit(
        self,
        job: Callable[[Stop], T],
        priority: Priority,
        session: str,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[T],
    ) -> _Job:
        with self._ready:
            if self._closed:
                raise self._shut_down()
            if len(self._heap) >= self._limit:
                self._make_room(priority)
            start = max(self._virtual_now, self._served.get(session, 0))
            entry = _Job(priority, start, next(self._order), session, job, loop, future, time.monotonic())
            self._served[session] = start + 1
            heapq.heappush(self._heap, entry)
            self._ready.notify()
            return entry

    def _make_room(self, priority: Priority) -> None:
        """Refuses the newest waiting job of the lowest priority, or raises where that is the one that asks."""
        last = max(self._heap, key=lambda job: (job.priority, job.order))
        if last.priority <= priority:
            raise self._overloaded()
        self._remove(last)
        last.answer(error=self._overloaded())

    def _withdraw(self, job: _Job) -> None:
        """Takes a job whose caller has gone out of the queue, if it still waits."""
        with self._ready:
            if any(waiting is job for waiting in self._heap):
                self._remove(job)

    def _remove(self, job: _Job) -> None:
        """Out of the queue, giving the session its share back: the job was not served."""
        self._heap = [waiting for waiting in self._heap if waiting is not job]
        heapq.heapify(self._heap)
        if job.session in self._served:
            self._served[job.session] -= 1

    def _shut_down(self) -> EngineUnavailable:
        return EngineUnavailable(f"{self._engine} is shut down", engine=self._engine)

    def _overloaded(self) -> EngineUnavailable:
        return EngineUnavailable(
            f"{self._engine} is overloaded",
            engine=self._engine,
            why=f"{self._limit} jobs are waiting",
            remedy="Try again in a moment, or serve fewer sessions",
            code="engine.overloaded",
            retryable=True,
        )

    def _join(self) -> None:
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while self._serve_one():
            pass  # in a method of its own, so that an idle thread holds no job and none of its audio

    def _serve_one(self) -> bool:
        """Waits for a job and does it; False when the lane has closed."""
        job = self._take()
        if job is None:
            return False
        outcome = self._outcome(job)
        self._finish(job)
        job.answer(**outcome)
        return True

    def _outcome(self, job: _Job) -> dict[str, Any]:
        try:
            return {"result": job.run(job.stop)}
        except StopIteration as error:  # which a future cannot hold
            failed = EngineFailed(f"{self._engine} failed", engine=self._engine, why="a job raised StopIteration")
            failed.__cause__ = error
            return {"error": failed}
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            return {"error": error}

    def _take(self) -> _Job | None:
        with self._ready:
            while not self._heap:
                if self._closed:
                    return None
                self._ready.wait()
            job = heapq.heappop(self._heap)
            self._virtual_now = max(self._virtual_now, job.virtual_start)
            self._running.append(job)
            job.stop.queued_s = time.monotonic() - job.queued_at
            self._jobs_served += 1
            self._waited_s += job.stop.queued_s
            return job

    def _finish(self, job: _Job) -> None:
        with self._ready:
            self._running.remove(job)
            if not self._running and not self._heap:
                self._served.clear()  # an idle lane owes nobody anything
