"""`voice-agent serve` as its user starts it: a process of its own, on a free port, with the embedded engines."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

PROGRAM = Path(sys.executable).parent / "voice-agent"
START_S = 60.0


@dataclass(slots=True)
class Running:
    """A server that listens. `out` is what it has printed so far, `log` the file of its stderr."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    out: list[str] = field(default_factory=list)

    @property
    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30.0, trust_env=False)

    def status(self, path: str) -> int:
        with self.http as client:
            return client.get(path).status_code

    def realtime(self, **headers: str) -> ClientConnection:
        return connect(
            self.url.replace("http", "ws", 1) + "/v1/realtime?model=voice-agent",
            additional_headers=headers,
            proxy=None,
            open_timeout=30,
        )

    def stop(self, sig: signal.Signals = signal.SIGTERM, *, patience_s: float = 20.0) -> int:
        """The exit code."""
        self.process.send_signal(sig)
        return self.process.wait(patience_s)

    def wait_until_ready(self) -> dict[str, object]:
        deadline = time.monotonic() + START_S
        with self.http as client:
            while True:
                answer = client.get("/ready")
                if answer.status_code == 200 or time.monotonic() > deadline:
                    return dict(answer.json())
                time.sleep(0.1)  # another process: there is nothing to wait on


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SERVER_", "LOG_"))}
    return {**kept, "SERVER_KEYS_FILE": str(folder / "keys.json"), "XDG_CONFIG_HOME": str(folder), "LOG_LEVEL": "info", **more}


def keys(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [PROGRAM, "keys", *words], env=environment(folder), cwd=folder, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


@contextlib.contextmanager
def served(folder: Path, *words: str, **more: str) -> Iterator[Running]:
    """Until the block ends; then killed, if it still runs."""
    log = folder / "serve.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *words],
            env=environment(folder, **more),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield _listening(process, log)
        finally:
            process.kill()
            process.communicate()


def _listening(process: subprocess.Popen[str], log: Path) -> Running:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Up to "):
            break
    found = re.findall(r"Listening on (\S+)", "".join(lines))
    assert found, "".join(lines) + log.read_text()
    return Running(process, found[-1], log, lines)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """On this machine's own address, one session at a time."""
    with served(tmp_path_factory.mktemp("serve"), SERVER_MAX_SESSIONS="1") as running:
        running.wait_until_ready()
        yield running


def test_it_tells_what_it_runs_on_and_where(server: Running) -> None:
    told = "".join(server.out)
    assert re.search(r"stt\s+moonshine\s+serves", told)
    assert re.search(r"llm\s+local\s+serves", told)
    assert "/v1/realtime" in told
    assert server.url.startswith("http://127.0.0.1:")


def test_health_ready_metrics(server: Running) -> None:
    with server.http as client:
        assert client.get("/health").json() == {"status": "alive"}
        assert client.get("/ready").json() == {"ready": True, "reasons": [], "sessions": 0, "limit": 1}
        text = client.get("/metrics").text
    assert 'voice_agent_engine_ready{engine="moonshine",kind="stt"} 1.0' in text
    assert 'voice_agent_queue_depth{engine="local"} 0.0' in text
    assert "voice_agent_event_loop_lag_seconds_count" in text


def test_a_page_of_another_site_cannot_reach_it(server: Running) -> None:
    with server.http as client:
        assert client.get("/health", headers={"Origin": "https://evil.example"}).status_code == 403
        assert client.get("/health", headers={"Host": "evil.example"}).status_code == 403
        assert client.get("/health", headers={"Origin": server.url}).status_code == 200
    with pytest.raises(InvalidStatus) as caught:
        server.realtime(Origin="https://evil.example")
    assert caught.value.response.status_code == 403


def test_one_session_too_many_is_told_when_to_come_back(server: Running) -> None:
    with server.realtime() as first:
        assert json.loads(first.recv(timeout=30))["type"] == "session.created"
        with pytest.raises(InvalidStatus) as caught:
            server.realtime()
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["Retry-After"] == "5"
        assert json.loads(caught.value.response.body or b"")["error"]["code"] == "server.overloaded"
        with server.http as client:
            assert client.get("/ready").status_code == 503
    with server.http as client:
        assert 'voice_agent_sessions_refused_total{code="server.overloaded"} 1.0' in client.get("/metrics").text


def test_no_compression_and_no_name_of_the_server(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(
            f"GET /v1/realtime HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n"
            "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.va_secret\r\n\r\n".encode()
        )
        answer = sock.recv(65_536).partition(b"\r\n\r\n")[0].decode().lower()
    assert answer.startswith("http/1.1 101")
    assert "permessage-deflate" not in answer
    assert "sec-websocket-protocol: realtime\r\n" in answer + "\r\n"
    assert "va_secret" not in answer + server.log.read_text()
    assert "\r\nserver:" not in answer


def test_a_signal_lets_a_session_finish(tmp_path: Path) -> None:
    with served(tmp_path, SERVER_DRAIN_S="30") as running:
        running.wait_until_ready()
        with running.realtime() as session:
            session.recv(timeout=30)
            running.process.send_signal(signal.SIGTERM)
            _wait_for(lambda: running.status("/ready") == 503)
            with pytest.raises(InvalidStatus) as caught:
                running.realtime()
            assert caught.value.response.status_code == 503
            assert json.loads(caught.value.response.body or b"")["error"]["code"] == "server.draining"
            session.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            assert json.loads(session.recv(timeout=10))["type"] == "session.updated"
        assert running.process.wait(20) == 0


def test_one_that_goes_on_too_long_is_closed_to_reconnect(tmp_path: Path) -> None:
    with served(tmp_path, SERVER_DRAIN_S="0.2") as running:
        running.wait_until_ready()
        with running.realtime() as session:
            session.recv(timeout=30)
            running.process.send_signal(signal.SIGINT)
            assert _close_code(session) == 1012
        assert running.process.wait(20) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with served(tmp_path, SERVER_DRAIN_S="600") as running:
        running.wait_until_ready()
        with running.realtime() as session:
            session.recv(timeout=30)
            running.process.send_signal(signal.SIGTERM)
            _wait_for(lambda: running.status("/ready") == 503)
            assert running.stop(patience_s=10) == 0


def _close_code(session: Connection) -> int | None:
    """Reads to the end."""
    try:
        while True:
            session.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else None


def _wait_for(happened: object) -> None:
    assert callable(happened)
    deadline = time.monotonic() + 20.0
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # another process


# ---------------------------------------------------------------- keys and certificates


def test_bound_to_the_network_it_needs_a_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "serve", "--host", "0.0.0.0", "--port", "0"],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "voice-agent keys create" in done.stderr


def test_keys_are_made_listed_and_revoked_while_it_runs(tmp_path: Path) -> None:
    first = keys(tmp_path, "create", "--name", "phone").strip()
    assert re.fullmatch(r"va_[\w-]{43}", first)
    with served(tmp_path, "--set", "server.require_key=on") as running:
        with running.http as client:
            assert client.get("/v1/models").status_code == 401
            assert client.get("/metrics", headers={"Authorization": f"Bearer {first}"}).status_code == 200
            second = json.loads(keys(tmp_path, "create", "--json", "--expires-days", "1"))
            assert client.get("/metrics", headers={"Authorization": f"Bearer {second['key']}"}).status_code == 200
            listed = json.loads(keys(tmp_path, "list", "--json"))
            assert [key["name"] for key in listed] == ["phone", ""]
            assert first not in keys(tmp_path, "list")
            keys(tmp_path, "revoke", listed[0]["key_id"])
            _wait_for(lambda: client.get("/metrics", headers={"Authorization": f"Bearer {first}"}).status_code == 401)
            assert client.get("/metrics", headers={"Authorization": f"Bearer {second['key']}"}).status_code == 200
        with pytest.raises(InvalidStatus):
            running.realtime()
        url = running.url.replace("http", "ws", 1) + "/v1/realtime"
        offered = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{second['key']}")]
        with connect(url, subprotocols=offered, proxy=None, open_timeout=30) as browser:
            assert browser.subprotocol == "realtime"
        assert running.stop() == 0
        log = running.log.read_text()
    assert f"key={second['key_id']}" in log
    assert first not in log
    assert second["key"] not in log


def test_its_own_certificate_and_the_code_for_the_phone(tmp_path: Path) -> None:
    keys(tmp_path, "create")
    with served(tmp_path, "--tls-self-signed", "--host", "0.0.0.0") as running:
        assert running.url.startswith("https://localhost:")
        context = ssl.create_default_context(cafile=tmp_path / "voice-agent" / "tls" / "cert.pem")
        with httpx.Client(verify=context, trust_env=False) as client:
            assert client.get(f"{running.url}/health").status_code == 200
        assert running.process.stdout is not None
        assert running.stop() == 0
        assert "█" in running.process.stdout.read()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [PROGRAM, "serve", "--port", str(port)],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == f"error: Port {port} is taken (another program listens there). Stop it, or choose another with --port.\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 80])
def test_an_address_of_another_machine_is_one_line(tmp_path: Path, host: str) -> None:
    keys(tmp_path, "create")
    done = subprocess.run(
        [PROGRAM, "serve", "--host", host, "--port", "0"],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {host} is no address of this machine (")
    assert done.stderr.count("\n") == 1
