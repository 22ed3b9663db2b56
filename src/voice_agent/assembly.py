"""Picks the concrete engines and builds sessions: the only place that knows both the settings and the vendors.

One `Assembly` per process. Engines are loaded once, when first needed, and shared by all its sessions.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from voice_agent.conversation.segmentation import SegmentationSettings
from voice_agent.conversation.settings import ConversationSettings, EndpointingSettings, InterruptionSettings
from voice_agent.conversation.transcript import Transcript
from voice_agent.engines.base import (
    Engine,
    EngineKind,
    Engines,
    EngineState,
    Fetching,
    LlmModel,
    Ready,
    SttModel,
    TtsModel,
    TurnDetector,
    Unavailable,
    VadModel,
)
from voice_agent.engines.registry import EngineRegistry, EngineSpec
from voice_agent.errors import EngineUnavailable, InputError, ModelError
from voice_agent.models import FetchProgress, ModelState, ModelStore
from voice_agent.session.listening import ListeningSettings
from voice_agent.session.prompt import PromptSettings
from voice_agent.session.replying import VoiceSettings
from voice_agent.session.session import Observer, Recorder, Session
from voice_agent.session.settings import SessionSettings
from voice_agent.settings import Settings
from voice_agent.transports.base import Transport

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=Engine)

EMBEDDED_MODELS: dict[str, str] = {
    "moonshine": "moonshine-tiny-en",
    "smart-turn": "smart-turn-v3.2",
    "local": "smollm2-135m",
}
"""Engines whose weights come without a hub, and the model of the catalogue that each needs."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(slots=True)
class Assembly:
    """`progress` holds what is being fetched."""

    settings: Settings
    store: ModelStore
    progress: dict[str, FetchProgress] = field(default_factory=dict)
    vad: EngineRegistry[VadModel] = field(init=False)
    stt: EngineRegistry[SttModel] = field(init=False)
    turn: EngineRegistry[TurnDetector] | None = field(init=False)
    llm: EngineRegistry[LlmModel] = field(init=False)
    tts: EngineRegistry[TtsModel] = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.vad = EngineRegistry("vad", [self._silero()])
        self.stt = EngineRegistry("stt", [self._whisper(), self._moonshine()], order=settings.stt.engines)
        self.turn = EngineRegistry("turn", [self._smart_turn()]) if settings.turn.engines else None
        self.llm = EngineRegistry("llm", [self._groq(), self._openai(), self._local()], order=settings.llm.engines)
        self.tts = EngineRegistry("tts", [self._kokoro(), self._espeak()], order=settings.tts.engines)

    # ------------------------------------------------------------ what a process offers

    def states(self) -> dict[EngineKind, dict[str, EngineState]]:
        """Kind to engine to state, in order of preference."""
        states: dict[EngineKind, dict[str, EngineState]] = {"vad": self.vad.states(), "stt": self.stt.states()}
        if self.turn is not None:
            states["turn"] = self.turn.states()
        return states | {"llm": self.llm.states(), "tts": self.tts.states()}

    def loaded(self, kind: EngineKind) -> Mapping[str, Engine]:
        """Name to engine of those of a kind that are loaded now."""
        registries: dict[EngineKind, EngineRegistry[Any] | None] = {
            "vad": self.vad, "stt": self.stt, "turn": self.turn, "llm": self.llm, "tts": self.tts
        }  # fmt: skip
        registry = registries[kind]
        return {} if registry is None else registry.loaded()

    def missing_models(self) -> list[str]:
        """Weights that the engines of the settings would need and that can be fetched without a hub."""
        wanted = [*self.settings.stt.engines, *self.settings.turn.engines, *self.settings.llm.engines]
        names = [EMBEDDED_MODELS[engine] for engine in wanted if engine in EMBEDDED_MODELS]
        if self.settings.local.model != EMBEDDED_MODELS["local"] and EMBEDDED_MODELS["local"] in names:
            names.remove(EMBEDDED_MODELS["local"])
        return [name for name in names if self.store.state(name) is not ModelState.PRESENT]

    async def fetch(self, names: Iterable[str], report: Callable[[FetchProgress], None]) -> None:
        """Fetches weights; `states` shows them as being fetched meanwhile. Raises `ModelError`."""

        def note(fetched: FetchProgress) -> None:
            self.progress[fetched.model] = fetched
            report(fetched)

        wanted = list(names)
        try:
            await self.store.ensure(wanted, note)
        finally:
            for name in wanted:
                self.progress.pop(name, None)

    async def engines(self) -> Engines:
        """Of a new session; loads what is not loaded yet, all kinds at the same time.

        Raises `EngineUnavailable` for a kind of which no engine is ready.
        """
        async with asyncio.TaskGroup() as group:
            vad = group.create_task(self.vad.choose(limit=1))
            stt = group.create_task(self.stt.choose())
            llm = group.create_task(self.llm.choose())
            tts = group.create_task(self.tts.choose())
            turn = group.create_task(self._turn_detector())
        return Engines(
            vad=vad.result()[0],
            stt=_stt_chain(stt.result()),
            turn=turn.result(),
            llm=_llm_chain(llm.result()),
            tts=_tts_chain(tts.result()),
        )

    async def recogniser(self, name: str | None = None) -> SttModel:
        """For a recording: all that are ready as a chain, or the one engine that `name` names, itself or its model.

        Any other name is that of somebody else's model and means the chain. Raises as `engines`, also where the engine that is
        named is not ready.
        """
        return _stt_chain(await _named(self.stt, name))

    async def synthesiser(self, name: str | None = None) -> TtsModel:
        """For a text, as `recogniser`."""
        return _tts_chain(await _named(self.tts, name))

    async def _turn_detector(self) -> TurnDetector | None:
        """A conversation works without one; why there is none is told by `states`."""
        if self.turn is None:
            return None
        try:
            return (await self.turn.choose(limit=1))[0]
        except EngineUnavailable:
            return None

    async def session(
        self,
        session_id: str,
        transport: Transport,
        *,
        observer: Observer | None = None,
        recorder: Recorder | None = None,
        transcript: Transcript | None = None,
        settings: SessionSettings | None = None,
        engines: Engines | None = None,
    ) -> Session:
        """A session with the engines that are ready now (or `engines`) and the settings of the process (or `settings`).

        Raises as `engines`, and `InputError` for a voice that nobody has.
        """
        chosen = engines if engines is not None else await self.engines()
        wanted = settings if settings is not None else session_settings(self.settings)
        if wanted.voice.voice is not None:
            self._check_voice(chosen.tts, wanted.voice.voice)
        return Session(
            session_id,
            engines=chosen,
            transport=transport,
            settings=wanted,
            observer=observer,
            recorder=recorder,
            transcript=transcript,
        )

    def _check_voice(self, tts: TtsModel, voice: str) -> None:
        try:
            tts.check_voice(voice)
        except InputError as error:
            states = self.tts.states().items()
            away = [f"{name} is not ready: {state.reason}" for name, state in states if isinstance(state, Unavailable)]
            error.why = error.why or "; ".join(away)  # it may be a voice of theirs
            raise

    @contextlib.asynccontextmanager
    async def recorder(self, session_id: str, settings: SessionSettings | None = None) -> AsyncIterator[Recorder | None]:
        """For a session's event log, if logs are wanted (LOG_EVENTS_DIR); it is complete when the block ends."""
        log = self.settings.log
        if log.events_dir is None:
            yield None
            return
        from voice_agent.session.recording import open_recorder

        wanted = settings if settings is not None else session_settings(self.settings)
        handle = open_recorder(Path(log.events_dir), session_id, wanted.conversation, content=log.content)
        try:
            yield handle.record
        finally:
            await handle.aclose()

    async def aclose(self) -> None:
        """Ends all engines."""
        closing = [self.vad.aclose(), self.stt.aclose(), self.llm.aclose(), self.tts.aclose()]
        if self.turn is not None:
            closing.append(self.turn.aclose())
        await asyncio.gather(*closing)

    # ------------------------------------------------------------ the vendors

    def _silero(self) -> EngineSpec[VadModel]:
        from voice_agent.engines.vad import silero

        return EngineSpec(kind="vad", name="silero", probe=Ready, load=_threaded(silero.load))

    def _moonshine(self) -> EngineSpec[SttModel]:
        from voice_agent.engines.stt import moonshine

        stt = self.settings.stt
        language = stt.language

        def probe() -> EngineState:
            if language not in (None, "en"):
                return Unavailable(reason=f"it knows English only, not {language}", remedy="voice-agent models fetch whisper-base")
            return self._model_state(EMBEDDED_MODELS["moonshine"])

        def load() -> SttModel:
            folder = self.store.folder(EMBEDDED_MODELS["moonshine"])
            return moonshine.load(folder, threads=stt.threads or 1, workers=stt.workers or min(cores(), 4))

        return EngineSpec(kind="stt", name="moonshine", probe=probe, load=_threaded(load))

    def _whisper(self) -> EngineSpec[SttModel]:
        from voice_agent.engines.stt import whisper

        stt = self.settings.stt
        name = f"whisper-{stt.model}"

        def probe() -> EngineState:
            if stt.folder is None:
                return self._model_state(name)
            if stt.folder.is_dir():
                return Ready()
            return Unavailable(reason=f"there is no folder {stt.model}", remedy="set STT_MODEL to a folder of Whisper weights")

        def load() -> SttModel:
            return whisper.load(
                stt.folder or self.store.folder(name),
                device=stt.device,
                compute_type=None if stt.compute_type == "auto" else stt.compute_type,
                cpu_threads=stt.threads or 1,
                num_workers=stt.workers or min(cores(), 4),
            )

        return EngineSpec(kind="stt", name="faster-whisper", probe=probe, load=_threaded(load))

    def _smart_turn(self) -> EngineSpec[TurnDetector]:
        from voice_agent.engines.turn import smart_turn

        name = EMBEDDED_MODELS["smart-turn"]

        def load() -> TurnDetector:
            return smart_turn.load(self.store.folder(name) / "smart-turn-v3.2-cpu.onnx")

        return EngineSpec(kind="turn", name="smart-turn", probe=lambda: self._model_state(name), load=_threaded(load))

    def _groq(self) -> EngineSpec[LlmModel]:
        settings, timeout_s = self.settings.groq, self.settings.llm.first_token_timeout_s

        def load() -> LlmModel:
            from voice_agent.engines.llm.groq import GroqLlm

            assert settings.api_key is not None
            return GroqLlm(
                api_key=settings.api_key.get_secret_value(),
                model=settings.model,
                base_url=settings.base_url,
                first_token_timeout_s=timeout_s,
            )

        no_key = Unavailable(reason="no key", remedy="set GROQ_API_KEY in the environment or in .env")
        return EngineSpec(
            kind="llm", name="groq", probe=lambda: no_key if settings.api_key is None else Ready(), load=_threaded(load)
        )

    def _openai(self) -> EngineSpec[LlmModel]:
        settings, timeout_s = self.settings.openai, self.settings.llm.first_token_timeout_s

        def load() -> LlmModel:
            from voice_agent.engines.llm.openai_compatible import OpenAiCompatibleLlm

            assert settings.base_url is not None
            return OpenAiCompatibleLlm(
                base_url=settings.base_url,
                model=settings.model,
                api_key=settings.api_key.get_secret_value() if settings.api_key is not None else "",
                first_token_timeout_s=timeout_s,
            )

        no_address = Unavailable(reason="no server", remedy="set OPENAI_BASE_URL (and OPENAI_API_KEY)")
        return EngineSpec(
            kind="llm",
            name="openai-compatible",
            probe=lambda: no_address if settings.base_url is None else Ready(),
            load=_threaded(load),
        )

    def _local(self) -> EngineSpec[LlmModel]:
        settings = self.settings.local

        def path() -> Path:
            return settings.file or self.store.folder(settings.model) / self.store.catalogue.find(settings.model).files[0].name

        def probe() -> EngineState:
            if settings.file is None:
                return self._model_state(settings.model)
            if settings.file.is_file():
                return Ready()
            return Unavailable(reason=f"there is no file {settings.model}", remedy="set LOCAL_MODEL to a GGUF file that is there")

        def load() -> LlmModel:
            from voice_agent.engines.llm.local import LocalLlm

            try:
                return LocalLlm(
                    path(),
                    model=settings.file.stem if settings.file else settings.model,
                    threads=settings.threads or max(1, cores() - 1),
                    context_tokens=settings.context_tokens,
                    small=settings.model == EMBEDDED_MODELS["local"],
                )
            except ModelError as error:
                if settings.file is None:  # the engine does not know what its weights are called in the catalogue
                    error.remedy = f"voice-agent models fetch {settings.model}"
                raise

        return EngineSpec(kind="llm", name="local", probe=probe, load=_threaded(load))

    def _kokoro(self) -> EngineSpec[TtsModel]:
        settings, name = self.settings.kokoro, "kokoro-82m"

        def load() -> TtsModel:
            from voice_agent.engines.tts import kokoro

            folder = self.store.folder(name)
            model, voices = settings.model or folder / "kokoro-v1.0.onnx", settings.voices or folder / "voices-v1.0.bin"
            return kokoro.load(model, voices, threads=settings.threads or cores())

        return EngineSpec(
            kind="tts",
            name="kokoro",
            probe=lambda: Ready() if settings.model is not None else self._model_state(name),
            load=_threaded(load),
        )

    def _espeak(self) -> EngineSpec[TtsModel]:
        def load() -> TtsModel:
            from voice_agent.engines.tts import espeak

            return espeak.load()

        return EngineSpec(kind="tts", name="espeak", probe=Ready, load=_threaded(load))

    def _model_state(self, name: str) -> EngineState:
        if (fetched := self.progress.get(name)) is not None and fetched.phase != "done":
            return Fetching(progress=fetched.bytes_done / fetched.bytes_total, detail=fetched.source)
        remedy = f"voice-agent models fetch {name}"
        match self.store.state(name):
            case ModelState.PRESENT:
                return Ready()
            case ModelState.MISSING:
                return Unavailable(reason="its weights are not here", remedy=remedy)
            case ModelState.PARTIAL:
                return Unavailable(reason="its weights are half fetched", remedy=remedy)
            case ModelState.DAMAGED:
                return Unavailable(reason="its weights are damaged", remedy=remedy)


def session_settings(settings: Settings) -> SessionSettings:
    """The slice of the settings that a session takes."""
    low, high = settings.turn.holds_s
    return SessionSettings(
        conversation=ConversationSettings(
            speculate=settings.turn.speculate,
            endpointing=EndpointingSettings(min_hold_s=low, max_hold_s=high, learn=settings.turn.learn),
            interruption=InterruptionSettings(enabled=settings.turn.barge_in, guard_s=settings.turn.interruption_guard_s),
            idle_timeout_s=settings.conversation.idle_timeout_s,
        ),
        listening=ListeningSettings(
            chunk_samples=settings.audio.chunk_samples,
            language=settings.stt.language,
            hint=settings.stt.hint,
            segmentation=SegmentationSettings(threshold=settings.vad.threshold, release=settings.vad.release),
        ),
        prompt=PromptSettings(
            instructions=settings.conversation.instructions, history_items=2 * settings.conversation.history_turns
        ),
        voice=VoiceSettings(voice=settings.tts.voice, language=settings.tts.language or "en", speed=settings.tts.speed),
        max_tokens=settings.llm.max_tokens,
        temperature=settings.llm.temperature,
    )


def _threaded(load: Callable[[], E]) -> Callable[[], "asyncio.Future[E]"]:
    """Loading blocks, so it runs in a thread."""
    return lambda: asyncio.ensure_future(asyncio.to_thread(load))


async def _named(registry: EngineRegistry[E], name: str | None) -> list[E]:
    if name in registry.names():
        return [await registry.get(name)]
    engines = await registry.choose()
    return [engine for engine in engines if engine.model == name][:1] or engines


def _tell_switch(kind: EngineKind, engine: str, why: str) -> None:
    """`why` is "" when the engine that failed is back."""
    if why:
        logger.warning("%s: %s Until it is back, %s serves.", kind, why, engine)
    else:
        logger.info("%s: %s is back", kind, engine)


def _stt_chain(models: list[SttModel]) -> SttModel:
    if len(models) == 1:
        return models[0]
    from voice_agent.engines.stt.chain import SttChain

    return SttChain(models, on_switch=partial(_tell_switch, "stt"))


def _llm_chain(models: list[LlmModel]) -> LlmModel:
    if len(models) == 1:
        return models[0]
    from voice_agent.engines.llm.chain import LlmChain

    return LlmChain(models, on_switch=partial(_tell_switch, "llm"))


def _tts_chain(models: list[TtsModel]) -> TtsModel:
    if len(models) == 1:
        return models[0]
    from voice_agent.engines.tts.chain import TtsChain

    return TtsChain(models, on_switch=partial(_tell_switch, "tts"))
