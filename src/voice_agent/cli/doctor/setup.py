"""What the engines are set up with: settings, weights, and the way to the model hub."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent.assembly import EMBEDDED_MODELS
from voice_agent.cli.doctor.findings import Finding, State
from voice_agent.errors import ModelError
from voice_agent.models import ModelState, ModelStore
from voice_agent.models.address import HubAddress, hub_url_from_environment
from voice_agent.settings import LoadedSettings, Settings

if TYPE_CHECKING:
    import httpx

HUB_TIMEOUT_S = 2.0
"""For each step of one small request; the hub answers in 0.2 s where there is a way to it."""

# ---------------------------------------------------------------- settings


def check_settings(loaded: LoadedSettings, *, dotenv: Path = Path(".env")) -> list[Finding]:
    """Where they come from, and names that look like settings and are none. Impossible values were refused before."""
    origins = Counter(_source(origin) for origin in loaded.origins.values())
    told = ", ".join(f"{count} from {source}" for source, count in sorted(origins.items())) or "none set"
    found = dotenv.is_file()
    sources = Finding(
        group="settings",
        name="values",
        state=State.OK,
        detail=f"{told}, all others are defaults; {dotenv.name} {'found' if found else 'not found'} in the working directory",
        facts={"dotenv_found": found, **{f"from_{source.strip('.')}": count for source, count in origins.items()}},
    )
    unknown = [
        Finding(
            group="settings",
            name=sentence.split()[0],
            state=State.NOT_THE_BEST,
            detail=sentence,
            why=sentence.rstrip("."),
            remedy="Correct its name or remove it; `voice-agent settings` lists all",
        )
        for sentence in loaded.unknown()
    ]
    return [sources, *unknown]


def _source(origin: str) -> str:
    return origin.split()[0]  # "environment STT_MODEL", ".env line 3", "flag"


# ---------------------------------------------------------------- weights


def wanted_models(settings: Settings) -> dict[str, str]:
    """Engine of the settings to the catalogue's model that it would run; engines with files of their own are left out."""
    named: Mapping[str, str | None] = {
        **EMBEDDED_MODELS,
        "faster-whisper": None if settings.stt.folder else f"whisper-{settings.stt.model}",
        "local": None if settings.local.file else settings.local.model,
        "kokoro": None if settings.kokoro.model is not None else "kokoro-82m",
    }
    engines = (*settings.stt.engines, *settings.turn.engines, *settings.llm.engines, *settings.tts.engines)
    return {engine: model for engine in engines if (model := named.get(engine)) is not None}


def check_weights(store: ModelStore, settings: Settings) -> list[Finding]:
    """A look at the files' sizes (blocking, fast). What mends it is told at the engine that misses them."""
    return [_weights(store, engine, model) for engine, model in wanted_models(settings).items()]


def _weights(store: ModelStore, engine: str, model: str) -> Finding:
    try:
        state = store.state(model)
    except ModelError as error:
        return Finding(group="weights", name=model, state=State.FAILED, detail=error.what, why=error.what)
    states: dict[ModelState, State] = {ModelState.PRESENT: State.OK, ModelState.DAMAGED: State.FAILED}
    return Finding(
        group="weights",
        name=model,
        state=states.get(state, State.UNAVAILABLE),
        detail=f"{state.value}, for {engine}",
        facts={"engine": engine, "files": state.value},
    )


# ---------------------------------------------------------------- hub


async def check_hub(settings: Settings, *, needed: bool) -> Finding:
    """Whether the model hub answers at all. `needed`: something that it may have is missing here."""
    if settings.models.offline:
        return _hub(
            State.UNAVAILABLE,
            "not asked: MODELS_OFFLINE is on",
            why="missing weights are not fetched, MODELS_OFFLINE is on" if needed else "",
            remedy="Set MODELS_OFFLINE=off" if needed else "",
        )
    url = settings.models.hub_url or hub_url_from_environment()
    host, failed = await _ask_hub(url)
    if not failed:
        return _hub(State.OK, f"{host} answers", host=host)
    return _hub(
        State.UNAVAILABLE,
        f"{host} cannot be reached ({failed})",
        host=host,
        why=f"{host} cannot be reached ({failed}), so that weights which only it has cannot be fetched" if needed else "",
        remedy="Check the network, or set MODELS_HUB_URL to a mirror" if needed else "",
    )


def _hub(state: State, detail: str, *, host: str = "", why: str = "", remedy: str = "") -> Finding:
    facts = {"host": host, "reachable": None if not host else state is State.OK}
    return Finding(group="network", name="model hub", state=state, detail=detail, why=why, remedy=remedy, facts=facts)


async def _ask_hub(url: str) -> tuple[str, str]:
    """Its host, and why it does not answer ("" where it does). Any HTTP answer will do; no token is sent."""
    try:
        client = await asyncio.to_thread(_open_client, url)
    except ModelError as error:
        return "the hub", error.why
    import httpx  # loaded by now

    host = httpx.URL(url).host
    try:
        async with client:
            await client.head(url, timeout=HUB_TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return host, type(error).__name__
    return host, ""


def _open_client(url: str) -> "httpx.AsyncClient":
    """In a thread: it loads the HTTP client (0.2 s) and certificates."""
    from voice_agent.models.hub import open_client

    return open_client(HubAddress(url))
