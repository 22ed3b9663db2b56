"""llama.cpp in this process, through xllamacpp: the only module that knows the library.

The library's parameters change names between its releases (two a month), hence the exact pin in pyproject.toml. It always
opens an HTTP port; here that is a free one on the loopback, behind a random key that nobody is told, and unused: chats
go through the library's direct call.
"""

import platform
import secrets
import signal
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voice_agent.errors import EngineFailed, EngineUnavailable, ModelError

ENGINE = "local"
"""The engine that this serves, for errors."""

OnChunk = Callable[[dict[str, Any]], bool]
"""Gets each chunk of a streamed chat completion, in llama.cpp's threads; True ends the generation."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SMALLEST_BYTES = 1 << 20
"""No language model is smaller than a megabyte; a file that is, is an error page or the beginning of a download."""


class Llama:
    """A loaded model. `context_tokens` is what one chat may hold, prompt and answer."""

    def __init__(self, server: Any, *, context_tokens: int) -> None:
        self._server = server
        self.context_tokens = context_tokens

    def chat(self, body: dict[str, Any], on_chunk: OnChunk) -> None:
        """Blocks until the answer has ended. `body` as for `/v1/chat/completions`; `id_slot` chooses the prompt cache.

        The prompt itself cannot be interrupted: `on_chunk` is first called after it. Raises `EngineFailed`, with code
        "llm.prompt_too_long" when the prompt does not fit.
        """
        failure: list[dict[str, Any]] = []

        def receive(data: Any) -> bool:
            if isinstance(data, dict) and "error" not in data:
                return on_chunk(data)
            failure.append(data if isinstance(data, dict) else {})
            return True

        self._server.handle_chat_completions(body, receive)
        if failure:
            raise _failure(failure[0].get("error"))

    def close(self) -> None:
        """Frees the model and ends the library's threads: 30 to 140 ms, during which the library holds the interpreter's lock.
        No chat may be under way."""
        self._server = None


def load(gguf: Path, *, threads: int, parallel: int = 2, context_tokens: int = 1024, batch: int = 128) -> Llama:
    """Loads a model; blocks for 0.2 to 0.5 s with 100 MB.

    `parallel` chats at a time, each with `context_tokens` of its own and its own prompt cache. `batch`: tokens of a prompt that
    are computed in one go; another chat waits that long for its next token (64 to 128 stall it for about 0.3 s).
    Raises `ModelError` for a file that is missing, damaged or of a kind that llama.cpp does not know, `EngineUnavailable`
    where the library does not run.
    """
    check_file(gguf)
    _check_processor()
    xllamacpp = _library()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, gguf, threads, parallel, context_tokens, batch))
    except RuntimeError as error:
        raise _damaged(gguf, "llama.cpp cannot load it") from error
    finally:
        _restore(handlers)
    _speak_first(server, gguf)
    return Llama(server, context_tokens=context_tokens)


def check_file(gguf: Path) -> None:
    """Raises `ModelError` unless this looks like a model: reads 8 bytes. llama.cpp finds what is wrong further inside."""
    try:
        size = gguf.stat().st_size
        with gguf.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ModelError(
            f"The language model {gguf.name} cannot be read",
            why=error.strerror or type(error).__name__,
            remedy="Fetch it with `voice-agent models fetch`, or set LOCAL_MODEL to a GGUF file",
            code="model.missing",
        ) from error
    if not head.startswith(_MAGIC):
        raise _damaged(gguf, "it is not a GGUF file")
    if size < _SMALLEST_BYTES or len(head) < 8:
        raise _damaged(gguf, f"it has only {size} bytes")
    (version,) = struct.unpack("<I", head[4:])
    if version not in _VERSIONS:
        raise _damaged(gguf, f"GGUF version {version} is not known")


def _parameters(xllamacpp: Any, gguf: Path, threads: int, parallel: int, context_tokens: int, batch: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx = context_tokens * parallel  # the library divides it among the chats
    params.n_parallel = parallel
    params.n_batch = params.n_ubatch = batch
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    params.fit_params = False  # guessing how much memory is free takes half the time of loading
    # Each slot keeps its session's prompt; copies of old prompts in RAM (8 GB allowed by default) are not wanted.
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.n_threads_http = 1
    return params


def _speak_first(server: Any, gguf: Path) -> None:
    """Generates one token (7 ms with the small model), so that a model that computes nothing is found now.

    And so that the library's queue runs: its constructor returns before its own loop has started, and destroying it then
    waits for ever, with the interpreter's lock held (seen in one of three cases).
    """
    answers: list[Any] = []

    def receive(data: Any) -> bool:
        answers.append(data)
        return False

    server.handle_completions({"prompt": "Hi", "n_predict": 1, "stream": True}, receive)
    if not any(isinstance(answer, dict) and "choices" in answer for answer in answers):
        raise _damaged(gguf, "it generates nothing")


def _library() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineUnavailable(
            "llama.cpp is not installed",
            engine=ENGINE,
            why="there is no xllamacpp package for this platform" if platform.libc_ver()[0] != "glibc" else str(error),
            remedy="Name an LLM server instead (GROQ_API_KEY or OPENAI_BASE_URL)",
        ) from error
    return xllamacpp


def _check_processor() -> None:
    """The library's x86 build uses AVX2 without asking; a processor without it would end the process."""
    info = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not info.exists():
        return
    if " avx2" not in info.read_text(encoding="utf-8", errors="replace"):
        raise EngineUnavailable(
            "llama.cpp does not run on this processor",
            engine=ENGINE,
            why="it has no AVX2",
            remedy="Name an LLM server instead (GROQ_API_KEY or OPENAI_BASE_URL)",
        )


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    """Some versions of the library put their own handlers for Ctrl-C and SIGTERM in place (the pinned one leaves them).
    Python allows handlers to be set in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, handler)


def _damaged(gguf: Path, why: str) -> ModelError:
    return ModelError(
        f"The language model {gguf.name} is damaged or not a model",
        why=why,
        remedy="Fetch it again with `voice-agent models fetch`, or set LOCAL_MODEL to another GGUF file",
        code="model.damaged",
    )


def _failure(error: Any) -> EngineFailed:
    """The library's error object; its message is left out, since it may quote the prompt."""
    kind = error.get("type", "") if isinstance(error, dict) else ""
    if kind == "exceed_context_size_error":
        return EngineFailed(
            "The conversation is too long for the local language model",
            engine=ENGINE,
            why=f"{error.get('n_prompt_tokens')} tokens of {error.get('n_ctx')}",
            remedy="Say it in fewer words, or raise LOCAL_CONTEXT_TOKENS",
            code="llm.prompt_too_long",
        )
    return EngineFailed("The local language model failed", engine=ENGINE, why=str(kind), code="llm.server_error", retryable=True)
