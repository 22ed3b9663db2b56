"""What waits for the pump."""

import asyncio

from tests.virtual_time import run_virtual
from voice_agent.session.inbox import INPUT_LIMIT, Inbox


def test_items_come_in_order() -> None:
    async def script() -> None:
        inbox: Inbox[int] = Inbox()
        inbox.post(1)
        await inbox.put(2)
        assert [await inbox.get(None), await inbox.get(None)] == [1, 2]

    run_virtual(script())


def test_a_timer_ends_the_wait_but_items_come_first() -> None:
    async def script() -> None:
        inbox: Inbox[int] = Inbox()
        loop = asyncio.get_running_loop()
        assert await inbox.get(loop.time() + 5.0) is None
        assert loop.time() == 5.0
        inbox.post(1)
        assert await inbox.get(loop.time() - 1.0) == 1
        assert await inbox.get(loop.time() - 1.0) is None

    run_virtual(script())


def test_the_transport_waits_when_it_is_full_and_results_do_not() -> None:
    async def script() -> None:
        inbox: Inbox[int] = Inbox()
        for number in range(INPUT_LIMIT):
            await inbox.put(number)
        putting = asyncio.ensure_future(inbox.put(-1))
        await asyncio.sleep(1.0)
        assert not putting.done()
        inbox.post(-2)
        assert len(inbox) == INPUT_LIMIT + 1
        assert [await inbox.get(None) for _ in range(2)] == [0, 1]
        await putting
        taken = [await inbox.get(None) for _ in range(INPUT_LIMIT)]
        assert taken == [*range(2, INPUT_LIMIT), -2, -1]

    run_virtual(script())
