import asyncio
import time

import pytest

from tests.virtual_time import NothingWillHappen, VirtualTimeLoop, run_virtual


def test_an_hour_passes_at_once() -> None:
    async def script() -> float:
        for _ in range(3600):
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(script()) == pytest.approx(3600)
    assert time.monotonic() - began < 5


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def script() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []

        async def note(name: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            seen.append((name, round(loop.time(), 9)))

        async with asyncio.TaskGroup() as group:
            for name, after_s in (("late", 10.0), ("early", 0.1), ("first of two", 5.0), ("second of two", 5.0)):
                group.create_task(note(name, after_s))
        return seen

    assert run_virtual(script()) == [("early", 0.1), ("first of two", 5.0), ("second of two", 5.0), ("late", 10.0)]


def test_timeouts_are_virtual_too() -> None:
    async def script() -> None:
        async with asyncio.timeout(86_400):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_virtual(script())


def test_waiting_for_ever_is_an_error_and_not_a_hang() -> None:
    async def script() -> None:
        await asyncio.sleep(2.5)
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappen, match=r"at 2\.500 s"):
        run_virtual(script())


def test_a_forgotten_task_is_an_error() -> None:
    async def script() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(1))

    with pytest.raises(AssertionError, match="left running"):
        run_virtual(script())


def test_the_clock_begins_at_zero() -> None:
    loop = VirtualTimeLoop()
    try:
        assert loop.time() == 0
    finally:
        loop.close()
