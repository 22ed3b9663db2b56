import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_assembly import fake_assembly
from tests.unit.api.asgi import handshake, http, websocket_scope
from voice_agent.api.app import create_app
from voice_agent.api.caller import Caller, is_loopback
from voice_agent.api.client_secrets import SecretStore
from voice_agent.api.deps import CallerDep
from voice_agent.api.keys import KeyStore
from voice_agent.api.security import HostNames, Origins, refuse_without_keys, split_host, take_key
from voice_agent.api.server import make_server
from voice_agent.errors import SettingsError
from voice_agent.settings import Settings
from voice_agent.settings.tree import ServerSettings
from voice_agent.transports.realtime.config import first_config

FAR = "192.168.1.7"


def make(server: ServerSettings, keys: KeyStore) -> FastAPI:
    """With two routes that tell who calls."""
    app = create_app(Settings(server=server), fake_assembly(), keys=keys)

    @app.get("/v1/me")
    async def me(caller: CallerDep) -> str:
        return f"{caller.identity}{' with a secret' if caller.secret else ''}"

    @app.websocket("/v1/realtime")
    async def realtime(websocket: WebSocket, caller: CallerDep) -> None:
        seen.append((caller, dict(websocket.headers), websocket.scope["subprotocols"]))
        await websocket.accept(subprotocol="realtime")

    seen: list[tuple[Caller, dict[str, str], list[str]]] = []
    app.state.seen = seen
    # before the product's own route of that path
    app.router.routes.insert(0, app.router.routes.pop())
    return app


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys.json")


@pytest.fixture
def key(keys: KeyStore) -> str:
    return keys.create("test")[1]


@pytest.fixture
def local(keys: KeyStore) -> FastAPI:
    """Bound to this machine."""
    return make(ServerSettings(max_sessions=4), keys)


@pytest.fixture
def public(keys: KeyStore, key: str) -> FastAPI:
    """Bound to every address."""
    return make(ServerSettings(host="0.0.0.0", max_sessions=4), keys)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class TestHost:
    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "127.0.0.9", "[::1]:8000", "[::1]"]
    )
    def test_this_machine(self, host: str) -> None:
        assert host in HostNames(ServerSettings())

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.7",
            "",
            "user@localhost",
            "[::1",
            "localhost:x",
        ],
    )
    def test_all_others(self, host: str) -> None:
        assert host not in HostNames(ServerSettings())

    def test_names_that_were_allowed(self) -> None:
        names = HostNames(ServerSettings(allowed_hosts=("Agent.example.com",)))
        assert "agent.example.com" in names
        assert "agent.example.com:443" in names
        assert "www.agent.example.com" not in names

    def test_bound_to_the_network_every_number_is_ours_and_no_name(self) -> None:
        names = HostNames(ServerSettings(host="0.0.0.0"))
        assert "192.168.1.7:8000" in names
        assert "[fd00::7]:8000" in names
        assert "evil.example" not in names

    @given(st.text(max_size=40))
    def test_no_text_breaks_it(self, text: str) -> None:
        split_host(text)
        assert text not in HostNames(ServerSettings()) or is_loopback(split_host(text)[0])

    async def test_a_foreign_name_reaches_nothing(self, local: FastAPI) -> None:
        async with http(local) as client:
            for path in ("/health", "/v1/me", "/metrics"):
                answer = await client.get(path, headers={"Host": "evil.example"})
                assert answer.status_code == 403
                assert answer.json()["error"]["code"] == "access.foreign_host"


class TestOrigin:
    @pytest.mark.parametrize(
        ("origin", "scheme", "host", "allowed"),
        [
            ("http://localhost:8000", "http", "localhost:8000", True),
            ("http://localhost:8000", "ws", "localhost:8000", True),
            ("https://agent.local", "wss", "agent.local", True),
            ("https://agent.local:443", "https", "agent.local", True),
            ("http://localhost:3000", "http", "localhost:8000", False),
            ("http://localhost", "http", "localhost:8000", False),
            ("https://localhost:8000", "http", "localhost:8000", False),
            ("http://localhost:8000", "https", "localhost:8000", False),
            ("http://127.0.0.1:8000", "http", "localhost:8000", False),
            ("https://evil.example", "ws", "localhost:8000", False),
            ("null", "ws", "localhost:8000", False),
            ("", "ws", "localhost:8000", False),
            ("http://[::1", "ws", "localhost:8000", False),
            ("http://localhost:x", "ws", "localhost:8000", False),
            ("https://app.example.com", "ws", "localhost:8000", True),
            ("HTTPS://APP.example.com", "ws", "localhost:8000", True),
            ("https://app.example.com.evil.example", "ws", "localhost:8000", False),
            ("http://app.example.com", "ws", "localhost:8000", False),
        ],
    )
    def test_whose_pages(self, origin: str, scheme: str, host: str, allowed: bool) -> None:
        assert Origins(["https://app.example.com/"]).allows(origin, scheme=scheme, host=host) is allowed

    @pytest.mark.parametrize("origin", ["*", "app.example.com", "https://app.example.com/page"])
    def test_what_is_no_origin_is_refused_at_the_start(self, origin: str) -> None:
        with pytest.raises(SettingsError, match="no origin"):
            Origins([origin])

    async def test_a_foreign_page_is_refused_even_without_keys(self, local: FastAPI) -> None:
        async with http(local) as client:
            answer = await client.get("/v1/me", headers={"Origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "access.foreign_origin")
        assert "access-control-allow-origin" not in answer.headers

    async def test_so_is_its_websocket(self, local: FastAPI) -> None:
        seen = await handshake(local, websocket_scope(headers=[("Origin", "https://evil.example")]))
        assert (seen.status, seen.error["code"]) == (403, "access.foreign_origin")
        assert local.state.seen == []

    async def test_our_own_page_and_programs_are_let_in(self, local: FastAPI) -> None:
        for headers in ([], [("Origin", "http://127.0.0.1:8000")]):
            assert (await handshake(local, websocket_scope(headers=headers))).status == 101

    async def test_cors_for_pages_that_were_allowed(self, keys: KeyStore, key: str) -> None:
        app = make(ServerSettings(require_key=True, allowed_origins=("https://app.example.com",), max_sessions=1), keys)
        origin = {"Origin": "https://app.example.com"}
        wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        async with http(app) as client:
            preflight = await client.options("/v1/realtime/client_secrets", headers={**origin, **wants})
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
            answer = await client.get("/v1/me", headers={**origin, **bearer(key)})
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
            refused = await client.get("/v1/me", headers=origin)
            assert refused.status_code == 401
            foreign = await client.options("/v1/me", headers={**wants, "Origin": "https://evil.example"})
            assert foreign.status_code == 403


class TestKeys:
    async def test_none_is_needed_on_this_machine(self, local: FastAPI) -> None:
        async with http(local) as client:
            assert (await client.get("/v1/me")).json() == "address 127.0.0.1"
            assert (await client.get("/v1/me", headers=bearer("sk-whatever"))).json() == "address 127.0.0.1"

    async def test_one_is_needed_elsewhere(self, public: FastAPI, key: str) -> None:
        async with http(public, address=FAR) as client:
            for path in ("/v1/me", "/metrics"):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["error"]["code"]) == (401, "access.no_key")
                assert answer.headers["www-authenticate"] == "Bearer"
            answer = await client.get("/v1/me", headers=bearer(key[:-1]))
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "access.bad_key")
            assert (await client.get("/v1/me", headers=bearer(key))).json().startswith("key ")
            assert (await client.get("/metrics", headers=bearer(key))).status_code == 200
            assert (await client.get("/health")).status_code == 200

    async def test_a_websocket_brings_it_in_the_header_or_as_a_subprotocol(self, public: FastAPI, key: str) -> None:
        by_header = websocket_scope(headers=[("Authorization", f"Bearer {key}")], address=FAR)
        offered = ("realtime", f"openai-insecure-api-key.{key}", "openai-agents-sdk.0.2")
        by_subprotocol = websocket_scope(subprotocols=offered, address=FAR)
        for scope in (by_header, by_subprotocol):
            assert (await handshake(public, scope)).status == 101
        without = await handshake(public, websocket_scope(address=FAR))
        assert (without.status, without.error["code"]) == (401, "access.no_key")

    async def test_no_route_and_no_log_sees_it(self, public: FastAPI, key: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        offered = ("realtime", f"openai-insecure-api-key.{key}")
        answer = await handshake(public, websocket_scope(headers=[("Authorization", f"Bearer {key}")], subprotocols=offered))
        ((caller, headers, subprotocols),) = public.state.seen
        assert caller.key_id is not None
        assert subprotocols == ["realtime"]
        assert key not in repr((caller, headers, subprotocols, answer.messages))
        assert key not in caplog.text
        assert "key=" in caplog.text  # its id

    async def test_the_access_log_has_no_query(self, local: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with http(local) as client:
            await client.get("/v1/me?api_key=va_secret")
        lines = [record.getMessage() for record in caplog.records if record.name == "voice_agent.access"]
        assert len(lines) == 1
        assert lines[0].startswith("GET '/v1/me' 200 ")
        assert "secret" not in lines[0]

    async def test_a_path_cannot_forge_a_line(self, local: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with http(local) as client:
            await client.get("/v1/me%0aGET '/admin' 200")
        assert all("\n" not in record.getMessage() for record in caplog.records)

    def test_a_server_for_others_does_not_start_without_one(self, keys: KeyStore) -> None:
        refuse_without_keys(ServerSettings(), keys)
        for server in (
            ServerSettings(host="0.0.0.0"),
            ServerSettings(host="example.com"),
            ServerSettings(require_key=True),
            ServerSettings(trusted_proxies=("127.0.0.1",)),
            ServerSettings(allowed_hosts=("agent.example.com",)),
        ):
            with pytest.raises(SettingsError, match="voice-agent keys create"):
                refuse_without_keys(server, keys)
        key, _ = keys.create()
        refuse_without_keys(ServerSettings(host="0.0.0.0"), keys)
        keys.revoke(key.key_id)
        with pytest.raises(SettingsError):
            refuse_without_keys(ServerSettings(host="::"), keys)

    async def test_behind_a_proxy_the_one_behind_it_counts(self, keys: KeyStore, key: str) -> None:
        server = ServerSettings(trusted_proxies=("127.0.0.1",), requests_per_minute=6, max_sessions=1)
        app = make_server(make(server, keys), server).config.loaded_app
        forwarded = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https", "Origin": "https://127.0.0.1:8000"}
        async with http(app) as proxy, http(app, address=FAR) as other:
            assert (await proxy.get("/v1/me", headers={**forwarded, **bearer(key)})).status_code == 200
            statuses = [(await proxy.get("/v1/me", headers=forwarded)).status_code for _ in range(2)]
            assert statuses == [401, 429]  # the bucket of 203.0.113.5 is empty
            another = await proxy.get("/v1/me", headers={**forwarded, "X-Forwarded-For": "203.0.113.6"})
            assert another.status_code == 401
            spoofed = await other.get("/v1/me", headers={"X-Forwarded-Proto": "https", "Origin": "https://127.0.0.1:8000"})
            assert spoofed.status_code == 403

    @pytest.mark.parametrize(
        ("headers", "found"),
        [
            ([(b"authorization", b"Bearer va_1")], "va_1"),
            ([(b"authorization", b"bearer   va_1 ")], "va_1"),
            ([(b"authorization", b"Basic dmFfMQ==")], ""),
            ([(b"authorization", b"Bearer")], ""),
            ([(b"authorization", "Bearer schlüssel".encode("latin-1"))], "schlüssel"),
            ([(b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.va_2")], "va_2"),
            ([(b"authorization", b"Bearer va_1"), (b"sec-websocket-protocol", b"openai-insecure-api-key.va_2")], "va_1"),
            ([], ""),
        ],
    )
    def test_taking_it_out(self, headers: list[tuple[bytes, bytes]], found: str) -> None:
        scope: dict[str, Any] = {"headers": headers, "subprotocols": ["realtime", "openai-insecure-api-key.va_2"]}
        assert take_key(scope) == found
        assert b"va_" not in b"".join(value for _, value in scope["headers"])
        assert scope["subprotocols"] == ["realtime"]


class TestClientSecrets:
    async def test_made_with_a_key_for_one_kind_of_session(self, public: FastAPI, key: str) -> None:
        body = {
            "expires_after": {"anchor": "created_at", "seconds": 60},
            "session": {"type": "realtime", "instructions": "Be brief."},
        }
        async with http(public, address=FAR) as client:
            assert (await client.post("/v1/realtime/client_secrets", json=body)).status_code == 401
            answer = (await client.post("/v1/realtime/client_secrets", json=body, headers=bearer(key))).json()
            assert answer["value"].startswith("ek_")
            assert answer["session"]["instructions"] == "Be brief."
            assert answer["session"]["type"] == "realtime"
            assert answer["session"]["object"] == "realtime.session"
            assert answer["session"]["id"].startswith("sess_")
            scope = websocket_scope(subprotocols=("realtime", f"openai-insecure-api-key.{answer['value']}"), address=FAR)
            assert (await handshake(public, scope)).status == 101
            caller = public.state.seen[0][0]
            assert caller.secret is not None
            assert caller.secret.config.instructions == "Be brief."
            assert caller.key_id is not None  # limits count for the key that made it
            assert answer["value"] not in repr(public.state.seen)
            for path in ("/v1/me", "/metrics"):
                refused = await client.get(path, headers=bearer(answer["value"]))
                assert (refused.status_code, refused.json()["error"]["code"]) == (403, "access.not_allowed")

    async def test_a_secret_that_is_none_is_refused_even_where_no_key_is_needed(self, local: FastAPI) -> None:
        seen = await handshake(local, websocket_scope(headers=[("Authorization", "Bearer ek_gone")]))
        assert (seen.status, seen.error["code"]) == (401, "access.bad_key")

    async def test_no_body_means_the_defaults(self, local: FastAPI) -> None:
        async with http(local) as client:
            answer = await client.post("/v1/realtime/client_secrets")
        assert answer.status_code == 200
        assert answer.json()["session"]["audio"]["output"]["format"]["rate"] == 24000

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
            ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
            ({"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
            ({"session": {"type": "video"}}, "session.type"),
            ({"session": {"type": "realtime", "audio": {"output": {"speed": 9}}}}, "session.audio.output.speed"),
            ({"session": 7}, "session"),
        ],
    )
    async def test_what_is_wrong_is_named(self, local: FastAPI, body: dict[str, Any], param: str) -> None:
        async with http(local) as client:
            answer = await client.post("/v1/realtime/client_secrets", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param

    @pytest.mark.parametrize(
        "session",
        [
            r'{"type": "realtime", "truncation": "\ud800"}',
            r'{"type": "realtime", "truncation": {"\ud800": 1}}',
            r'{"type": "\ud800"}',
            '{"type": "realtime", "truncation": NaN}',
            '{"type": "realtime", "truncation": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
            '{"type": "realtime", "truncation": ' + "[" * 50_000 + "]" * 50_000 + "}",
        ],
    )
    async def test_json_that_nobody_can_repeat(self, local: FastAPI, session: str) -> None:
        async with http(local) as client:
            answer = await client.post(
                "/v1/realtime/client_secrets", content=f'{{"session": {session}}}', headers={"content-type": "application/json"}
            )
        assert answer.status_code == 400
        assert len(answer.text) < 2000

    def test_it_ends_and_is_forgotten(self) -> None:
        now = 1000.0
        clock: Callable[[], float] = lambda: now  # noqa: E731 - reads the variable of this test
        store = SecretStore(clock=clock, most=3)
        config, caller = first_config({}), Caller(address="127.0.0.1")
        first = store.create(config, seconds=10, caller=caller)
        assert store.find(first.value) is first
        assert store.find(first.value[:-1]) is None
        now = 1010.0
        assert store.find(first.value) is None
        secrets = [store.create(config, seconds=60, caller=caller) for _ in range(4)]
        assert len(store) == 3
        assert [store.find(secret.value) is not None for secret in secrets] == [False, True, True, True]
