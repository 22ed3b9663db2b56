"""`/api/sessions`: what is told of a session, to whom, and its end."""

import asyncio
from pathlib import Path

import httpx
import orjson
import pytest
from fastapi import FastAPI

from tests.fake_assembly import fake_assembly
from tests.unit.api.asgi import handshake, http, websocket_scope
from tests.unit.api.own.talker import Talker, happens, talking
from voice_agent.api.app import create_app
from voice_agent.api.keys import KeyStore
from voice_agent.api.own.watching import FINISHED_KEPT
from voice_agent.engines.base import Unavailable
from voice_agent.settings import Settings
from voice_agent.settings.tree import LogSettings, ServerSettings

ELSEWHERE = "192.0.2.7"


def served(settings: Settings | None = None, keys: KeyStore | None = None) -> FastAPI:
    settings = settings or Settings()
    return create_app(settings, fake_assembly(settings), keys=keys)


async def one_turn(talker: Talker, text: str = "hello") -> None:
    talker.ask(text)
    await talker.until("response.done")
    talker.send(type="input_audio_buffer.clear")  # answered in the session's order, so behind the report of the reply
    await talker.until("input_audio_buffer.cleared")


class TestReading:
    async def test_a_running_session_is_told_with_its_transcript_and_timings(self) -> None:
        app = served()
        async with talking(app) as (talker, session_id), http(app) as client:
            await one_turn(talker)
            listed = (await client.get("/api/sessions")).json()
            read = (await client.get(f"/api/sessions/{session_id}")).json()

        assert (listed["running"], [session["id"] for session in listed["sessions"]]) == (1, [session_id])
        assert read["client"] == {"address": "127.0.0.1", "key_id": None}
        assert read["engines"]["stt"] == "fake (script)"
        assert [(item["role"], item["text"]) for item in read["transcript"]] == [("user", "hello"), ("agent", "I hear you.")]
        (timing,) = read["timings"]
        assert timing["waterfall_ms"]
        assert "I hear" not in orjson.dumps(timing).decode()

    async def test_a_finished_session_keeps_its_timing_and_not_its_words(self) -> None:
        app = served()
        async with talking(app) as (talker, session_id):
            await one_turn(talker, "my name is Joseph")
        async with http(app) as client:
            answer = await client.get(f"/api/sessions/{session_id}")

        read = answer.json()
        assert (read["state"], read["replies"], len(read["timings"])) == ("ended", 1, 1)
        assert read["transcript"] is None
        assert read["engines"]["llm"] == "fake (script)"
        assert "Joseph" not in answer.text
        assert "I hear" not in answer.text
        assert app.state.book.get(session_id).live.session is None  # nothing holds what it held

    async def test_only_the_last_are_remembered(self) -> None:
        app = served()
        ids = []
        for _ in range(FINISHED_KEPT + 2):
            async with talking(app) as (_, session_id):
                ids.append(session_id)
        async with http(app) as client:
            listed = (await client.get("/api/sessions")).json()["sessions"]
        assert [session["id"] for session in listed] == ids[:1:-1]

    async def test_one_that_never_began_leaves_no_trace(self) -> None:
        app = served()
        app.state.assembly.engine_states["llm"] = Unavailable(reason="no key")
        refused = await handshake(app, websocket_scope())
        assert refused.status == 503
        assert list(app.state.book) == []

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    async def test_an_unknown_session(self, method: str) -> None:
        async with http(served()) as client:
            answer = await client.request(method, "/api/sessions/sess_nobody")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_another_method_is_told_which_there_are() -> None:
    async with http(served()) as client:
        answer = await client.put("/api/sessions/sess_nobody")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")
    assert answer.json()["error"]["code"] == "method_not_allowed"


class TestEnding:
    async def test_the_client_is_disconnected(self) -> None:
        app = served()
        async with talking(app) as (talker, session_id), http(app) as client:
            ended = await client.delete(f"/api/sessions/{session_id}")
            again = await client.delete(f"/api/sessions/{session_id}")
        assert ended.json() == {"id": session_id, "ended": True}
        assert again.status_code == 200
        assert talker.closed is not None
        assert talker.closed["code"] == 1000


class TestOthers:
    """Keys have no roles: words and the end of a session are for the key that holds it and for who runs the server."""

    @pytest.fixture
    async def keys(self, tmp_path: Path) -> tuple[KeyStore, str, str]:
        store = KeyStore(tmp_path / "keys.json")
        (_, mine), (_, theirs) = [await asyncio.to_thread(store.create, name) for name in ("mine", "theirs")]
        return store, mine, theirs

    @staticmethod
    def public(*, content: bool = False) -> Settings:
        return Settings(server=ServerSettings(host="0.0.0.0"), log=LogSettings(content=content))

    async def test_timings_are_for_every_key_and_words_are_not(self, keys: tuple[KeyStore, str, str]) -> None:
        store, mine, theirs = keys
        app = served(self.public(), store)
        async with talking(app, address=ELSEWHERE, key=mine) as (talker, session_id), http(app, address=ELSEWHERE) as client:
            await one_turn(talker)
            path = f"/api/sessions/{session_id}"
            own = (await client.get(path, headers=bearer(mine))).json()
            other = (await client.get(path, headers=bearer(theirs))).json()
            stream = await client.get(f"{path}/events?content=true", headers=bearer(theirs))
            end = await client.delete(path, headers=bearer(theirs))
            without = await client.get(path)

        assert own["transcript"]
        assert (other["transcript"], len(other["timings"])) == (None, 1)
        assert mine not in orjson.dumps(other).decode()
        assert (stream.status_code, stream.json()["error"]["code"]) == (403, "access.not_yours")
        assert (end.status_code, end.json()["error"]["code"]) == (403, "access.not_yours")
        assert without.status_code == 401

    async def test_unless_the_server_says_that_words_may_be_kept(self, keys: tuple[KeyStore, str, str]) -> None:
        store, mine, theirs = keys
        app = served(self.public(content=True), store)
        async with talking(app, address=ELSEWHERE, key=mine) as (talker, session_id), http(app, address=ELSEWHERE) as client:
            await one_turn(talker)
            other = (await client.get(f"/api/sessions/{session_id}", headers=bearer(theirs))).json()
        assert other["transcript"]


class TestFollowing:
    async def test_events_come_until_the_session_is_over(self) -> None:
        events = await followed("?content=true")
        kinds = [kind for kind, _ in events]
        assert kinds[-1] == "end"
        assert {"event", "effect", "reply"} <= set(kinds)
        texts = [str(data["text"]) for _, data in events if data["type"] == "ReplyTextAdded"]
        assert "".join(texts) == "I hear you."
        (report,) = [data for kind, data in events if kind == "reply"]
        assert report["reply_text"] == "I hear you."

    async def test_without_words_unless_asked(self) -> None:
        events = await followed("")
        told = orjson.dumps([data for _, data in events]).decode()
        assert "hear you" not in told
        assert "Joseph" not in told
        assert "ReplyTextAdded" in told

    async def test_of_a_session_that_is_over_nothing_comes(self) -> None:
        app = served()
        async with talking(app) as (_, session_id):
            pass
        async with http(app) as client:
            assert (await client.get(f"/api/sessions/{session_id}/events")).status_code == 204

    async def test_too_many_listeners_are_refused(self) -> None:
        app = served()
        async with talking(app) as (talker, session_id), http(app) as client:
            path = f"/api/sessions/{session_id}/events"
            tasks = [asyncio.create_task(client.get(path)) for _ in range(8)]
            await happens(lambda: len(app.state.book.get(session_id).feed) == 8)
            refused = await client.get(path)
            talker.leave()
            answers = await asyncio.gather(*tasks)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server.overloaded")
        assert {answer.status_code for answer in answers} == {200}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def followed(query: str) -> list[tuple[str, dict[str, object]]]:
    """(event, data) of everything that a listener of one short talk is sent."""
    app = served()
    async with http(app) as client:
        async with talking(app) as (talker, session_id):
            task = asyncio.create_task(client.get(f"/api/sessions/{session_id}/events{query}"))
            await happens(lambda: len(app.state.book.get(session_id).feed) == 1)
            await one_turn(talker, "my name is Joseph")
        answer = await task
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parsed(answer)


def parsed(answer: httpx.Response) -> list[tuple[str, dict[str, object]]]:
    events = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["event"], orjson.loads(fields["data"])))
    return events
