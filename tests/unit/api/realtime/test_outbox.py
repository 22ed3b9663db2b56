"""What is on its way to a client: in order, bounded, and closed for one that does not read."""

import asyncio
import json

from tests.virtual_time import run_virtual
from voice_agent.api.realtime.outbox import MAX_WAITING_BYTES, Outbox


def test_events_leave_in_order_and_with_ids_of_their_own() -> None:
    async def script() -> None:
        outbox = Outbox()
        outbox.send("a", x=1)
        outbox.send_audio("resp_1", '"response_id":"resp_1"', b"\x00\x01")
        outbox.send("b")
        events = [json.loads(await outbox.next()) for _ in range(3)]
        assert [event["type"] for event in events] == ["a", "response.output_audio.delta", "b"]
        assert events[1] == {
            "type": "response.output_audio.delta",
            "event_id": "event_2",
            "response_id": "resp_1",
            "delta": "AAE=",
        }
        assert len({event["event_id"] for event in events}) == 3
        assert (outbox.waiting_bytes, outbox.sent_events) == (0, 3)

    run_virtual(script())


def test_audio_of_a_response_can_be_taken_back() -> None:
    async def script() -> None:
        outbox = Outbox()
        for response_id in ("resp_1", "resp_2"):
            outbox.send_audio(response_id, f'"response_id":"{response_id}"', bytes(1000))
        outbox.send("input_audio_buffer.speech_started")
        waited = outbox.waiting_bytes
        outbox.drop_audio("resp_1")
        assert outbox.waiting_bytes < waited - 1300
        events = [json.loads(await outbox.next()) for _ in range(2)]
        assert events[0]["response_id"] == "resp_2"
        assert outbox.waiting_bytes == 0

    run_virtual(script())


def test_a_client_that_does_not_read_costs_no_more_memory() -> None:
    async def script() -> None:
        outbox = Outbox()
        for _ in range(2 * MAX_WAITING_BYTES // 10_000):
            outbox.send_audio("resp_1", '"response_id":"resp_1"', bytes(10_000))
        assert outbox.overflowed.is_set()
        assert outbox.waiting_bytes < MAX_WAITING_BYTES + 20_000

    run_virtual(script())


def test_it_is_drained_when_everything_was_sent() -> None:
    async def script() -> None:
        outbox, taken = Outbox(), []

        async def write() -> None:
            while True:
                taken.append(await outbox.next())
                await asyncio.sleep(0.1)

        writing = asyncio.ensure_future(write())
        outbox.send("a")
        outbox.send("b")
        await outbox.drained()
        assert len(taken) == 2
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    run_virtual(script())
