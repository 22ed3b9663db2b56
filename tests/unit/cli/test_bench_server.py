"""`bench server`: its judgement, what its clients say, its stub engines, and the whole of it against a real server, in small."""

import asyncio
import base64
import json

import numpy as np
import pytest
from starlette.types import Message, Receive, Scope, Send
from typer.testing import CliRunner

from voice_agent.audio.pcm import Samples
from voice_agent.cli import command_line
from voice_agent.cli.bench.figures import Figure, distribution
from voice_agent.cli.bench.measure import FRAME, RATE
from voice_agent.cli.bench.report import print_server_json
from voice_agent.cli.bench.server_child import server_child
from voice_agent.cli.bench.server_judging import Silence, Talk, footprint, latencies
from voice_agent.cli.bench.server_load import FRAME_S, ROUND_FRAMES, SILENCE_MS, Script
from voice_agent.cli.bench.server_process import FirstAudio
from voice_agent.cli.bench.server_runs import being_silent, load_script, talking
from voice_agent.cli.bench.server_stubs import ANSWER, ANSWER_S, CHAIN_S, HEARD, STT_S, StubLlm, StubStt, StubTts
from voice_agent.conversation.clauses import ClauseCutter
from voice_agent.engines.base import LlmRequest, SpeechChunk, SpeechRequest, TextDelta
from voice_agent.engines.base import Message as Said
from voice_agent.errors import VoiceAgentError


def talk(
    sessions: int = 20,
    *,
    turns: int = 4,
    overhead_ms: tuple[float, ...] = (90.0, 100.0, 110.0, 120.0),
    lag_ms: float = 1.0,
    audio_ms: float = 1.0,
    cores: float = 0.2,
    rss_mb: float = 130.0,
) -> Talk:
    return Talk(
        sessions=sessions,
        turns=turns,
        overhead_ms=overhead_ms,
        lag_ms=[lag_ms] * 100,
        audio_ms=[audio_ms] * 4,
        cores=cores,
        rss_mb=rss_mb,
        load_late_ms=[0.1],
    )


def silence(cores: float = 0.3) -> Silence:
    return Silence(sessions=50, cores=cores, cores_without_audio=0.01)


def missed(figures: list[Figure]) -> list[str]:
    return [figure.name for figure in figures if figure.passed is False]


class TestJudging:
    def test_everything_on_target(self) -> None:
        one, many = talk(1, rss_mb=110.0), talk()
        assert missed([*latencies(one, many), *footprint(one, many, silence())]) == []

    @pytest.mark.parametrize(
        ("one", "many", "name"),
        [
            (talk(1, overhead_ms=(160.0,) * 4), talk(), "overhead, 1 session"),
            (talk(1), talk(overhead_ms=(260.0,) * 4), "overhead, 20 sessions"),
            (talk(1), talk(lag_ms=26.0), "event loop lag, 20 sessions"),
            (talk(1, audio_ms=6.0), talk(), "first audio to the socket, 1 session"),
            (talk(1), talk(audio_ms=6.0), "first audio to the socket, 20 sessions"),
            (talk(1), talk(turns=5), "turns without an answer"),
        ],
    )
    def test_a_latency_misses(self, one: Talk, many: Talk, name: str) -> None:
        assert missed(latencies(one, many)) == [name]

    @pytest.mark.parametrize(
        ("many", "quiet", "name"),
        [
            (talk(cores=0.9, rss_mb=110.0), silence(), "processor per talking session"),
            (talk(rss_mb=110.0), silence(0.6), "processor per silent session"),
            (talk(rss_mb=170.0), silence(), "memory per extra session"),
        ],
    )
    def test_a_footprint_misses(self, many: Talk, quiet: Silence, name: str) -> None:
        assert missed(footprint(talk(1, rss_mb=110.0), many, quiet)) == [name]

    def test_shares_are_of_one_session(self) -> None:
        values = {figure.name: figure.value for figure in footprint(talk(1, rss_mb=110.0), talk(cores=0.5), silence(0.4))}
        assert values["processor per talking session"] == pytest.approx(2.5)
        assert values["processor per silent session"] == pytest.approx(0.8)
        assert values["memory per extra session"] == pytest.approx(20.0 / 19)

    def test_nothing_measured_is_a_miss(self) -> None:
        assert "overhead, 1 session" in missed(latencies(talk(1, overhead_ms=()), talk()))

    def test_the_99th_percentile_has_a_target_of_its_own(self) -> None:
        values = [1.0] * 95 + [50.0] * 5
        assert distribution("lag", "ms", values, targets={"p50": 2.0}).passed
        assert distribution("lag", "ms", values, targets={"p99": 25.0}).passed is False


def samples(seconds: float, value: float = 0.25) -> Samples:
    return np.full(round(seconds * RATE), value, dtype=np.float32)


class TestScript:
    def test_frames_are_appends_of_20_ms(self) -> None:
        script = Script.of(samples(0.1), samples(1.0, 0.0), samples(1.0, 0.01))
        events = [json.loads(frame) for frame in (*script.speech, *script.quiet, *script.room)]
        assert {event["type"] for event in events} == {"input_audio_buffer.append"}
        assert {len(base64.b64decode(event["audio"])) for event in events} == {2 * FRAME}
        assert (len(script.speech), len(script.quiet)) == (5, 50)

    def test_speech_ends_within_its_last_frame(self) -> None:
        script = Script.of(samples(0.105), samples(1.0, 0.0), samples(1.0))
        assert script.end_s == pytest.approx(0.105)
        assert len(script.speech) == 6
        last = np.frombuffer(base64.b64decode(json.loads(script.speech[-1])["audio"]), dtype="<i2")
        assert np.count_nonzero(last) == FRAME // 4

    def test_the_sample_leaves_room_for_the_answer(self) -> None:
        script = load_script(None)
        round_s = ROUND_FRAMES * FRAME_S
        assert script.end_s + CHAIN_S + 0.3 + ANSWER_S < round_s  # the next turn must not talk over it

    def test_the_hold_is_over_before_the_transcript(self) -> None:
        assert SILENCE_MS / 1000.0 < 0.064 + STT_S


# ---------------------------------------------------------------- the stubs


async def chunks_of(tts: StubTts, session: str) -> list[SpeechChunk]:
    return [chunk async for chunk in tts.speak(SpeechRequest(text=ANSWER), session=session)]


async def test_the_recogniser_hears_the_same_always() -> None:
    stream = StubStt().stream(session="a")
    assert (await stream.final()).text == (await stream.final()).text == HEARD


async def test_the_language_model_keeps_nothing() -> None:
    llm = StubLlm()
    request = LlmRequest(messages=(Said(role="user", content=HEARD),), session="a", max_tokens=50, temperature=0.0)
    said = [delta.text async for delta in llm.stream(request) if isinstance(delta, TextDelta)]
    assert "".join(said) == ANSWER
    assert llm.requests == []


def test_the_answer_is_one_clause() -> None:
    cutter = ClauseCutter()
    assert [*cutter.push(ANSWER), *cutter.finish()] == [ANSWER]


async def test_the_synthesiser_notes_once_when_it_began() -> None:
    tts = StubTts()
    chunks = await chunks_of(tts, "a")
    assert sum(chunk.pcm.size for chunk in chunks) / chunks[0].sample_rate == pytest.approx(ANSWER_S)
    assert tts.take("b") is None
    assert tts.take("a") is not None
    assert tts.take("a") is None


# ---------------------------------------------------------------- inside the server


async def nothing() -> Message:
    raise AssertionError("nobody sends")


async def test_only_the_first_audio_of_a_reply_is_timed() -> None:
    tts, sent = StubTts(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"type":"session.created","session":{"id":"sess_1"}}'})
        for _ in range(2):
            await chunks_of(tts, "sess_1")
            for _ in range(3):
                await send({"type": "websocket.send", "text": '{"type":"response.output_audio.delta","delta":"AAAA"}'})

    async def send(message: Message) -> None:
        sent.append(message["type"])

    timed = FirstAudio(app, tts)
    await timed({"type": "websocket"}, nothing, send)
    delays = timed.take()
    assert len(delays) == 2
    assert all(delay >= 0.0 for delay in delays)
    assert timed.take() == []
    assert len(sent) == 8


# ---------------------------------------------------------------- the whole


@pytest.fixture
async def short() -> Script:
    return await asyncio.to_thread(load_script, None)


async def test_two_sessions_talk_and_are_silent(short: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUTED_S", "SILENT_S", "SETTLE_S"):
        monkeypatch.setattr(f"voice_agent.cli.bench.server_runs.{name}", 0.1)
    async with server_child(4) as server:
        both = await talking(server, short, sessions=2, rounds=1)
        quiet = await being_silent(server, short, sessions=2)
    assert both.turns == len(both.overhead_ms) == len(both.audio_ms) == 2
    assert all(0.0 < overhead < 2000.0 for overhead in both.overhead_ms)
    assert len(both.lag_ms) > 50
    assert both.rss_mb > 20.0
    assert both.cores > 0.0
    assert quiet.sessions == 2


async def test_a_server_that_does_not_start_is_told() -> None:
    with pytest.raises(VoiceAgentError, match="has ended"):
        async with server_child(0):  # no session finds room: the settings refuse it
            pass


def test_json_holds_the_figures_and_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    print_server_json({"cores": 2}, ["overhead: …"], [distribution("overhead", "ms", [90.0], targets={"p50": 150.0})])
    told = json.loads(capsys.readouterr().out)
    assert told["definitions"] == ["overhead: …"]
    (figure,) = told["figures"]
    assert (figure["p99"], figure["targets"], figure["passed"]) == (90.0, {"p50": 150.0}, True)


def test_the_command_says_what_it_does() -> None:
    told = CliRunner().invoke(command_line(["bench"]), ["bench", "server", "--help"]).output
    for option in ("--sessions", "--seconds", "--clip", "--strict", "--json"):
        assert option in told


def test_one_session_is_not_many() -> None:
    assert CliRunner().invoke(command_line(["bench"]), ["bench", "server", "--sessions", "1"]).exit_code == 2
