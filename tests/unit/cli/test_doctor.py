"""The doctor's probes on scripted engines, its judgement, its looks at the machine. The real engines: tests/integration."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from voice_agent.assembly import Assembly
from voice_agent.cli.doctor import machine
from voice_agent.cli.doctor.bounded import Hung, bounded
from voice_agent.cli.doctor.checkup import examine
from voice_agent.cli.doctor.engines import Patience
from voice_agent.cli.doctor.findings import Finding, Group, State
from voice_agent.cli.doctor.judgement import NEEDED, Report, judge
from voice_agent.cli.doctor.phrase import PHRASE, understood
from voice_agent.cli.doctor.report import print_facts, print_report
from voice_agent.cli.doctor.setup import check_hub, check_settings, check_weights, wanted_models
from voice_agent.engines.base import (
    Engine,
    EngineKind,
    EngineState,
    Fetching,
    LlmCapabilities,
    Ready,
    Samples,
    SpeechChunk,
    SpeechRequest,
    Unavailable,
)
from voice_agent.engines.fakes import FakeLlm, FakeStt, FakeTts, FakeTurnDetector, FakeVad, FakeVadStream
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.errors import EngineFailed, EngineUnavailable
from voice_agent.models import Catalogue, ModelStore
from voice_agent.settings import LoadedSettings, Settings, load_settings

E = TypeVar("E", bound=Engine)

BRIEF_S = 0.5
"""Patience with engines that hang; the others answer at once."""

NO_KEY = Unavailable(reason="no key", remedy="set THE_KEY")


def spec(kind: EngineKind, name: str, engine: E, *, load: Callable[[], Awaitable[E]] | None = None) -> EngineSpec[E]:
    async def give() -> E:
        return engine

    return EngineSpec(kind=kind, name=name, probe=Ready, load=load or give)


def away(kind: EngineKind, name: str, engine: E, state: EngineState = NO_KEY) -> EngineSpec[E]:
    """An engine that is not ready. `engine` gives only the type."""

    async def never() -> E:
        raise AssertionError("an engine that is not ready was loaded")

    return EngineSpec(kind=kind, name=name, probe=lambda: state, load=never)


def good_stt() -> FakeStt:
    return FakeStt([PHRASE])


class Clinic:
    """A process whose engines are all well, until a test puts others in."""

    def __init__(self, folder: Path) -> None:
        self.loaded = load_settings({"models.offline": True}, env={}, dotenv=None)
        self.assembly = Assembly(self.loaded.values, ModelStore(folder, offline=True))
        self.assembly.vad = EngineRegistry("vad", [spec("vad", "ears", FakeVad())])
        self.assembly.stt = EngineRegistry("stt", [spec("stt", "scribe", good_stt())])
        self.assembly.turn = EngineRegistry("turn", [spec("turn", "judge", FakeTurnDetector())])
        self.assembly.llm = EngineRegistry("llm", [spec("llm", "brain", FakeLlm("Hello to you."))])
        self.assembly.tts = EngineRegistry("tts", [spec("tts", "mouth", FakeTts())])

    def set(self, **flags: object) -> None:
        self.loaded = load_settings(
            {"models.offline": True} | {k.replace("__", "."): v for k, v in flags.items()}, env={}, dotenv=None
        )
        self.assembly.settings = self.loaded.values

    async def visit(self, patience: Patience | None = None) -> Report:
        return await examine(self.assembly, self.loaded, patience or Patience())


@pytest.fixture
def opened(tmp_path: Path) -> Clinic:
    """Made before there is a loop: it reads the catalogue."""
    return Clinic(tmp_path)


@pytest.fixture
async def clinic(opened: Clinic) -> AsyncIterator[Clinic]:
    yield opened
    await opened.assembly.aclose()


def found(report: Report, group: Group, name: str) -> Finding:
    return next(finding for finding in report.findings if (finding.group, finding.name) == (group, name))


class TestAllIsWell:
    async def test_every_engine_is_used_and_a_conversation_is_possible(self, clinic: Clinic) -> None:
        report = await clinic.visit()
        assert report.possible
        assert report.serving == {"vad": "ears", "stt": "scribe", "turn": "judge", "llm": "brain", "tts": "mouth"}
        assert {finding.state for finding in report.findings if finding.group in report.serving} == {State.OK}
        assert not report.hung
        assert not report.needed
        assert found(report, "vad", "ears").facts["speech"] == 1.0
        assert found(report, "stt", "scribe").facts["words_understood"] == 5
        assert found(report, "turn", "judge").facts["probability"] == 0.9
        assert found(report, "llm", "brain").facts["answer"] == "Hello to you."
        assert found(report, "tts", "mouth").facts["audio_s"] == pytest.approx(1.5, abs=0.01)

    async def test_the_machine_the_settings_the_weights_and_the_hub_are_looked_at(self, clinic: Clinic) -> None:
        report = await clinic.visit()
        names = {(finding.group, finding.name) for finding in report.findings}
        assert {("hardware", name) for name in ("processor", "memory", "gpu", "sound device", "disk")} <= names
        assert ("settings", "values") in names
        assert ("weights", "moonshine-tiny-en") in names
        assert found(report, "network", "model hub").detail == "not asked: MODELS_OFFLINE is on"

    async def test_without_a_turn_detector_too(self, clinic: Clinic) -> None:
        clinic.assembly.turn = None
        assert (await clinic.visit()).possible


class TestAnEngineFails:
    async def test_a_broken_engine_is_told_and_the_next_one_serves(self, clinic: Clinic) -> None:
        broken = EngineFailed(
            "brain has failed", engine="brain", why="HTTP 500", remedy="Ask the operator", code="llm.server_error"
        )
        clinic.assembly.llm = EngineRegistry(
            "llm", [spec("llm", "brain", FakeLlm(lambda _: broken)), spec("llm", "spare", FakeLlm("Hi."))]
        )
        report = await clinic.visit()
        brain, spare = found(report, "llm", "brain"), found(report, "llm", "spare")
        assert (brain.state, brain.why, brain.remedy) == (State.FAILED, "brain has failed (HTTP 500)", "Ask the operator")
        assert brain.facts["code"] == "llm.server_error"
        assert (spare.state, spare.why) == (State.NOT_THE_BEST, "it stands in for brain")
        assert report.possible
        assert report.serving["llm"] == "spare"
        assert brain in report.advice

    async def test_a_fallback_that_is_broken_is_seen(self, clinic: Clinic) -> None:
        fails = FakeTts(fail=EngineFailed("spare is broken", engine="spare"))
        clinic.assembly.tts = EngineRegistry("tts", [spec("tts", "mouth", FakeTts()), spec("tts", "spare", fails)])
        report = await clinic.visit()
        spare = found(report, "tts", "spare")
        assert spare.state is State.FAILED
        assert spare.remedy == "Run it again; if it stays so, leave spare out of TTS_ENGINES"
        assert spare in report.advice
        assert found(report, "tts", "mouth").state is State.OK

    async def test_the_only_one_of_a_kind(self, clinic: Clinic) -> None:
        clinic.assembly.llm = EngineRegistry("llm", [spec("llm", "brain", FakeLlm(""))])
        report = await clinic.visit()
        assert not report.possible
        assert report.verdict == "A conversation is not possible: no language model works (brain: brain answered with nothing)."
        assert report.needed == (found(report, "llm", "brain"),)
        assert found(report, "stt", "scribe").state is State.OK

    async def test_one_that_does_not_load(self, clinic: Clinic) -> None:
        async def refuse() -> FakeStt:
            raise EngineUnavailable("scribe finds no GPU", engine="scribe", remedy="Set the device to cpu")

        clinic.assembly.stt = EngineRegistry("stt", [spec("stt", "scribe", good_stt(), load=refuse)])
        report = await clinic.visit()
        assert found(report, "stt", "scribe").remedy == "Set the device to cpu"
        assert not report.possible

    async def test_a_missing_library_is_named_and_a_fault_of_ours_is_not_quoted(self, clinic: Clinic) -> None:
        async def no_library() -> FakeTts:
            raise ImportError("libgomp.so.1: cannot open shared object file")

        async def bug() -> FakeTts:
            raise KeyError("gsk_a_secret")

        clinic.assembly.tts = EngineRegistry(
            "tts", [spec("tts", "mouth", FakeTts(), load=no_library), spec("tts", "spare", FakeTts(), load=bug)]
        )
        report = await clinic.visit()
        assert "libgomp" in found(report, "tts", "mouth").why
        spare = found(report, "tts", "spare")
        assert spare.why.startswith("internal error: KeyError in test_doctor.py:")
        assert "secret" not in repr(report)

    async def test_without_a_voice_the_others_are_probed_on_silence(self, clinic: Clinic) -> None:
        clinic.assembly.tts = EngineRegistry("tts", [spec("tts", "mouth", Mute())])
        report = await clinic.visit()
        assert found(report, "tts", "mouth").why == "fake spoke nothing that can be heard"
        assert found(report, "vad", "ears").facts["speech"] is None
        scribe = found(report, "stt", "scribe")
        assert (scribe.state, scribe.why) == (State.NOT_THE_BEST, "it was tested without speech, since no voice works")
        assert not report.possible

    async def test_a_state_that_cannot_be_told(self, clinic: Clinic) -> None:
        store = clinic.assembly.store
        store.catalogue = Catalogue(models=tuple(model for model in store.catalogue.models if model.name != "whisper-base"))
        clinic.assembly.stt = (await asyncio.to_thread(Assembly, clinic.loaded.values, store)).stt
        report = await clinic.visit()
        assert "whisper-base" in found(report, "stt", "faster-whisper").why
        assert found(report, "weights", "whisper-base").state is State.FAILED
        assert found(report, "stt", "moonshine").state is State.UNAVAILABLE


class Mute(FakeTts):
    async def speak(self, request: SpeechRequest, *, session: str) -> AsyncIterator[SpeechChunk]:
        yield SpeechChunk(pcm=np.zeros(2400, dtype=np.int16), sample_rate=24_000)


class Constant(FakeVad):
    def __init__(self, probability: float) -> None:
        self._probability = probability

    def stream(self) -> FakeVadStream:
        probability = self._probability

        class Stream(FakeVadStream):
            def probability(self, window: Samples) -> float:
                return probability

        return Stream()


class TestJudgingAProbe:
    @pytest.mark.parametrize(
        ("probability", "why"),
        [
            (0.0, "ears does not hear a spoken phrase (at most 0.00, VAD_THRESHOLD is 0.5)"),
            (1.0, "ears takes silence for speech"),
        ],
    )
    async def test_a_vad_that_does_not_tell_speech_from_silence(self, clinic: Clinic, probability: float, why: str) -> None:
        clinic.assembly.vad = EngineRegistry("vad", [spec("vad", "ears", Constant(probability))])
        report = await clinic.visit()
        assert found(report, "vad", "ears").why == why
        assert not report.possible

    async def test_a_recogniser_that_cannot_follow_espeak_is_given_the_benefit_of_the_doubt(self, clinic: Clinic) -> None:
        clinic.assembly.tts = EngineRegistry("tts", [spec("tts", "espeak", FakeTts())])
        clinic.assembly.stt = EngineRegistry("stt", [spec("stt", "scribe", FakeStt(["Hello bow wow."]))])
        report = await clinic.visit()
        scribe = found(report, "stt", "scribe")
        assert scribe.state is State.NOT_THE_BEST
        assert scribe.why == "it understood 1 of 5 words of espeak's voice; people may be easier for it"
        assert report.possible

    async def test_one_that_understands_nothing_of_a_natural_voice_does_not_work(self, clinic: Clinic) -> None:
        clinic.assembly.stt = EngineRegistry("stt", [spec("stt", "scribe", FakeStt(["Mumble."]))])
        report = await clinic.visit()
        assert found(report, "stt", "scribe").why == "scribe understood no word of what mouth said"
        assert not report.possible

    async def test_a_turn_detector_that_gives_no_probability(self, clinic: Clinic) -> None:
        clinic.assembly.turn = EngineRegistry("turn", [spec("turn", "judge", FakeTurnDetector(float("nan")))])
        report = await clinic.visit()
        assert found(report, "turn", "judge").state is State.FAILED
        assert report.possible

    async def test_a_demo_model_is_labelled(self, clinic: Clinic) -> None:
        small = FakeLlm("Hi.")
        small.capabilities = LlmCapabilities(tools=False, context_tokens=1024, small=True)
        clinic.assembly.llm = EngineRegistry("llm", [spec("llm", "brain", small)])
        brain = found(await clinic.visit(), "llm", "brain")
        assert brain.state is State.NOT_THE_BEST
        assert brain.facts["demo"] is True
        assert "(demo)" in brain.detail
        assert "LOCAL_MODEL" in brain.remedy

    async def test_a_slow_model_is_told(self, clinic: Clinic) -> None:
        clinic.assembly.llm = EngineRegistry("llm", [spec("llm", "brain", FakeLlm("Hello you.", word_delay_s=0.25))])
        brain = found(await clinic.visit(), "llm", "brain")
        assert brain.state is State.NOT_THE_BEST
        assert "slower than speech" in brain.why

    async def test_a_voice_that_only_another_engine_has(self, clinic: Clinic) -> None:
        clinic.set(tts__voice="other")
        clinic.assembly.tts = EngineRegistry("tts", [spec("tts", "mouth", OneVoice()), spec("tts", "spare", FakeTts())])
        report = await clinic.visit()
        assert found(report, "tts", "mouth").why == "it does not know the voice 'other'"
        assert report.possible

    async def test_a_voice_that_nobody_has(self, clinic: Clinic) -> None:
        clinic.set(tts__voice="mickey")
        report = await clinic.visit()
        voice = found(report, "tts", "voice")
        assert voice.remedy == "Choose one of: tone, other"
        assert voice in report.needed
        assert not report.possible
        assert "mickey" in report.verdict


class OneVoice(FakeTts):
    def check_voice(self, voice: str) -> None:
        super().check_voice("unknown")


class TestAnEngineHangs:
    async def test_in_its_probe(self, clinic: Clinic) -> None:
        clinic.assembly.llm = EngineRegistry(
            "llm", [spec("llm", "brain", FakeLlm(delay_s=3600.0)), spec("llm", "spare", FakeLlm("Hi."))]
        )
        report = await clinic.visit(Patience(answer_s=BRIEF_S))
        brain = found(report, "llm", "brain")
        assert (brain.state, brain.why, brain.hung) == (State.FAILED, "no answer within 0.5 s", True)
        assert report.hung
        assert report.serving["llm"] == "spare"

    async def test_in_its_load(self, clinic: Clinic) -> None:
        released = asyncio.Event()

        async def hang() -> FakeStt:
            await released.wait()
            return good_stt()

        clinic.assembly.stt = EngineRegistry(
            "stt", [spec("stt", "scribe", good_stt(), load=hang), spec("stt", "spare", good_stt())]
        )
        report = await clinic.visit(Patience(load_s=BRIEF_S))
        released.set()
        assert found(report, "stt", "scribe").hung
        assert report.serving["stt"] == "spare"

    async def test_one_that_does_not_even_end_when_told_to_is_left_behind(self) -> None:
        released = asyncio.Event()
        running: list[asyncio.Task[None] | None] = []

        async def stubborn() -> None:
            running.append(asyncio.current_task())
            while not released.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await released.wait()

        with pytest.raises(Hung):
            await bounded(stubborn(), 0.01)
        released.set()
        assert running[0] is not None
        await running[0]


class TestJudgement:
    @staticmethod
    def engine(group: Group, name: str, state: State) -> Finding:
        remedy = "" if state is State.OK else f"mend {name}"
        return Finding(group=group, name=name, state=state, why="" if state is State.OK else "so", remedy=remedy)

    def judged(self, *llms: Finding) -> Report:
        others: tuple[Group, ...] = ("vad", "stt", "tts")
        return judge([*(self.engine(kind, kind, State.OK) for kind in others), *llms])

    def test_what_is_not_here_behind_what_works_is_nothing_to_mend(self) -> None:
        report = self.judged(self.engine("llm", "a", State.OK), self.engine("llm", "b", State.UNAVAILABLE))
        assert report.advice == ()
        assert report.findings[2].state is State.OK

    def test_what_is_not_here_before_what_works_is(self) -> None:
        report = self.judged(
            self.engine("llm", "a", State.UNAVAILABLE), self.engine("llm", "b", State.OK), self.engine("llm", "c", State.OK)
        )
        assert [finding.name for finding in report.advice] == ["a"]
        states = {finding.name: finding.state for finding in report.findings}
        assert (states["b"], states["c"]) == (State.NOT_THE_BEST, State.OK)

    def test_what_is_needed_is_told_apart_from_what_would_be_better(self) -> None:
        slow = Finding(group="hardware", name="memory", state=State.NOT_THE_BEST, why="little", remedy="Buy some")
        report = judge([*self.judged(self.engine("llm", "a", State.UNAVAILABLE)).findings, slow])
        assert [finding.name for finding in report.needed] == ["a"]
        assert [finding.name for finding in report.advice] == ["memory"]
        assert not report.possible

    def test_a_kind_without_engines(self) -> None:
        assert "no language model works (none is set)" in self.judged().verdict

    async def test_weights_that_are_being_fetched(self, clinic: Clinic) -> None:
        clinic.assembly.stt = EngineRegistry("stt", [away("stt", "scribe", good_stt(), Fetching(progress=0.4))])
        scribe = found(await clinic.visit(), "stt", "scribe")
        assert (scribe.state, scribe.why) == (State.UNAVAILABLE, "its weights are being fetched, 40%")

    async def test_a_key_that_is_missing(self, clinic: Clinic) -> None:
        clinic.assembly.llm = EngineRegistry("llm", [away("llm", "cloud", FakeLlm()), spec("llm", "brain", FakeLlm("Hi."))])
        report = await clinic.visit()
        cloud = found(report, "llm", "cloud")
        assert (cloud.state, cloud.why, cloud.remedy) == (State.UNAVAILABLE, "no key", "set THE_KEY")
        assert cloud in report.advice


class TestPhrase:
    @pytest.mark.parametrize(
        ("heard", "words"),
        [
            ("hello how are you today", 5),
            ("Hello! How are you? Today…", 5),
            ("Hello, thank you.", 2),
            ("", 0),
            ("hello hello hello", 1),
        ],
    )
    def test_words_understood(self, heard: str, words: int) -> None:
        assert understood(PHRASE, heard) == words


class TestSettings:
    def test_names_that_are_none_and_where_values_come_from(self, tmp_path: Path) -> None:
        dotenv = tmp_path / ".env"
        dotenv.write_text("TTS_SPEED=1.1\nGROQ_API_KEY=gsk_never_to_be_seen\n")
        loaded = load_settings({}, env={"SST_MODEL": "x", "LOG_LEVEL": "info"}, dotenv=dotenv)
        values, unknown = check_settings(loaded, dotenv=dotenv)
        assert values.facts == {"dotenv_found": True, "from_environment": 1, "from_env": 2}
        assert unknown.state is State.NOT_THE_BEST
        assert unknown.why == "SST_MODEL in the environment is not a setting; STT_MODEL is"
        assert "never_to_be" not in repr((values, unknown))

    def test_nothing_is_set(self, tmp_path: Path) -> None:
        (values,) = check_settings(LoadedSettings(values=Settings()), dotenv=tmp_path / ".env")
        assert values.detail == "none set, all others are defaults; .env not found in the working directory"


class TestWeights:
    def test_what_the_settings_engines_want(self, tmp_path: Path) -> None:
        settings = load_settings({"local.model": str(tmp_path / "own.gguf"), "stt.model": "small"}, env={}, dotenv=None).values
        assert wanted_models(settings) == {
            "faster-whisper": "whisper-small",
            "moonshine": "moonshine-tiny-en",
            "smart-turn": "smart-turn-v3.2",
            "kokoro": "kokoro-82m",
        }

    def test_missing_and_damaged(self, tmp_path: Path) -> None:
        damaged = tmp_path / "smart-turn-v3.2" / "smart-turn-v3.2-cpu.onnx"
        damaged.parent.mkdir()
        damaged.write_bytes(b"half")
        states = {finding.name: finding.state for finding in check_weights(ModelStore(tmp_path), Settings())}
        assert states["smart-turn-v3.2"] is State.FAILED
        assert states["moonshine-tiny-en"] is State.UNAVAILABLE


class TestHub:
    @staticmethod
    def settings(url: str) -> Settings:
        return load_settings({"models.hub_url": url}, env={}, dotenv=None).values

    async def test_any_answer_will_do(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            finding = await check_hub(self.settings(f"http://127.0.0.1:{port}"), needed=True)
        assert finding.state is State.OK
        assert finding.facts == {"host": "127.0.0.1", "reachable": True}

    @pytest.mark.parametrize("needed", [True, False])
    async def test_not_reachable(self, needed: bool) -> None:
        finding = await check_hub(self.settings("http://me:password@127.0.0.1:9"), needed=needed)
        assert finding.state is State.UNAVAILABLE
        assert finding.facts["reachable"] is False
        assert bool(finding.remedy) is needed
        assert "password" not in repr(finding)


class TestMachine:
    def test_processor(self) -> None:
        finding = machine.processor(4)
        assert finding.facts["cores"] == 4
        assert finding.facts["model"]

    def test_one_core_is_not_the_best(self) -> None:
        assert machine.processor(1).state is State.NOT_THE_BEST

    def test_memory(self) -> None:
        facts = machine.memory().facts
        assert isinstance(facts["free_bytes"], int)
        assert isinstance(facts["total_bytes"], int)
        assert 0 < facts["free_bytes"] <= facts["total_bytes"]

    def test_disk_of_a_folder_that_is_not_there_yet(self, tmp_path: Path) -> None:
        finding = machine.disk(tmp_path / "models" / "here")
        assert finding.facts["writable"] is True
        assert finding.facts["folder"] == str(tmp_path / "models" / "here")


class TestReport:
    CLOUD = Finding(group="llm", name="cloud", state=State.UNAVAILABLE, detail="no key", why="no key", remedy="set THE_KEY")
    WELL = tuple(Finding(group=kind, name=f"{kind}-engine", state=State.OK, ms=12.34) for kind in NEEDED if kind != "llm")

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        brain = Finding(group="llm", name="brain", state=State.OK, facts={"tokens_per_s": 50.0})
        print_facts(judge([*self.WELL, self.CLOUD, brain]), took_s=1.0)
        told = json.loads(capsys.readouterr().out)
        assert told["possible"] is True
        assert told["serving"]["llm"] == "brain"
        assert told["advice"] == [{"what": "llm cloud", "why": "no key", "remedy": "set THE_KEY"}]
        assert told["checks"][0]["ms"] == 12.3
        assert told["checks"][-2]["facts"] == {"tokens_per_s": 50.0}

    def test_for_people(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_report(judge([*self.WELL, self.CLOUD]), took_s=1.0)
        told = capsys.readouterr().out
        assert "What must be mended first (one of each kind will do):\n  llm cloud: no key\n    -> set THE_KEY\n" in told
        assert "A conversation is not possible: no language model works (cloud: no key)." in told
