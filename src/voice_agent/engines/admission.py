"""Who may use an engine's threads, and when.

A `Lane` is a fixed number of worker threads behind one bounded queue. Order: by priority (final > partial > background), then
fair between sessions (each session's next job gets a later virtual start, so that a busy one cannot starve a quiet one),
then by arrival. When the queue is full, the newest job of the lowest priority waiting is refused.
"""

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from voice_agent.errors import EngineUnavailable

T = TypeVar("T")

QUEUE_LIMIT = 64
"""Jobs that may wait in one lane. At 100 ms a job on one thread, 64 jobs are 6 s: beyond that an answer is of no use."""

JOIN_TIMEOUT_S = 1.5
"""A session has 2 s to close; a worker that is inside native code past this is left to end on its own (daemon thread)."""


class Priority(IntEnum):
    FINAL = 0
    PARTIAL = 1
    BACKGROUND = 2


@dataclass(order=True, slots=True)
class _Job:
    priority: int
    virtual_start: int
    order: int
    run: Callable[["Stop"], Any] = field(compare=False)
    stop: "Stop" = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)
    queued_at: float = field(compare=False)


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


class Lane:
    """Runs blocking jobs in `workers` threads named after `engine`."""

    def __init__(self, engine: str, *, workers: int = 1, limit: int = QUEUE_LIMIT) -> None:
        self._engine = engine
        self._limit = limit
        self._heap: list[_Job] = []
        self._ready = threading.Condition()
        self._order = itertools.count()
        self._served: dict[str, int] = {}
        self._virtual_now = 0
        self._closed = False
        self._running: set[Stop] = set()
        self._threads = [threading.Thread(target=self._work, name=f"{engine}-{index}", daemon=True) for index in range(workers)]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Callable[[Stop], T], *, priority: Priority, session: str) -> T:
        """The job's result. Cancelling the caller drops a waiting job and sets `stop` of a running one.

        Raises `EngineUnavailable` when the lane is full (code "engine.overloaded") or closed.
        """
        loop = asyncio.get_running_loop()
        stop = Stop()
        future: asyncio.Future[T] = loop.create_future()
        with self._ready:
            if self._closed:
                raise EngineUnavailable(f"{self._engine} is shut down", engine=self._engine)
            if len(self._heap) >= self._limit:
                raise EngineUnavailable(
                    f"{self._engine} is overloaded",
                    engine=self._engine,
                    why=f"{self._limit} jobs are waiting",
                    remedy="Try again in a moment, or serve fewer sessions",
                    code="engine.overloaded",
                    retryable=True,
                )
            start = max(self._virtual_now, self._served.get(session, 0))
            self._served[session] = start + 1
            heapq.heappush(
                self._heap,
                _Job(priority, start, next(self._order), job, stop, loop, future, time.monotonic()),
            )
            self._ready.notify()
        try:
            return await future
        finally:
            stop.set()

    def waiting(self, priority: Priority | None = None) -> int:
        """How many jobs wait for a thread (of this priority)."""
        with self._ready:
            return sum(1 for job in self._heap if not job.stop() and (priority is None or job.priority == priority))

    def forget(self, session: str) -> None:
        """The session has ended."""
        with self._ready:
            self._served.pop(session, None)

    async def aclose(self) -> None:
        """Refuses new jobs, cancels the waiting ones, asks the running ones to stop, joins the threads. Idempotent."""
        with self._ready:
            self._closed = True
            waiting, self._heap = self._heap, []
            for stop in self._running:
                stop.set()
            self._ready.notify_all()
        for job in waiting:
            self._answer(job, error=EngineUnavailable(f"{self._engine} is shut down", engine=self._engine))
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        deadline = time.monotonic() + JOIN_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job.stop.queued_s = time.monotonic() - job.queued_at
            with self._ready:
                self._running.add(job.stop)
            try:
                result = job.run(job.stop)
            except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
                self._answer(job, error=error)
            else:
                self._answer(job, result=result)
            finally:
                with self._ready:
                    self._running.discard(job.stop)

    def _next(self) -> _Job | None:
        with self._ready:
            while True:
                while self._heap:
                    job = heapq.heappop(self._heap)
                    if job.stop():
                        continue  # its caller has gone
                    self._virtual_now = max(self._virtual_now, job.virtual_start)
                    return job
                if self._closed:
                    return None
                self._ready.wait()

    @staticmethod
    def _answer(job: _Job, *, result: Any = None, error: BaseException | None = None) -> None:
        def settle() -> None:
            if job.future.done():
                return
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(result)

        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody waits
            job.loop.call_soon_threadsafe(settle)
