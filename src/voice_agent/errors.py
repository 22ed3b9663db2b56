"""Every error that this package raises on purpose.

    VoiceAgentError
    ├── InputError            what a person or a client handed in cannot be used
    │   ├── AudioInputError   not audio, empty, damaged, out of bounds
    │   └── SettingsError     an unknown or impossible setting
    ├── ModelError            weights that are missing, damaged or cannot be fetched
    ├── EngineError           an engine (VAD, STT, LLM, TTS, turn) did not do its work
    │   ├── EngineUnavailable it cannot be used at all here and now
    │   ├── EngineTimeout     it did not answer in time
    │   └── EngineFailed      it answered with a failure
    ├── AccessError           the caller may not do this: no key, a foreign web page, too many requests
    ├── OverloadedError       no room for another session now
    └── TransportError        the way to the person broke

Each error says what happened, why, and what to do about it. `code` is stable and is what programs match on.
"""

from typing import Literal

Fault = Literal["user", "operator", "service", "us"]


class VoiceAgentError(Exception):
    """Base of the tree.

    `what` is one sentence for a person, `why` its cause, `remedy` what to do (often a command). Neither holds a secret
    nor what was said in a conversation.
    """

    code: str = "internal"
    retryable: bool = False
    fault: Fault = "us"

    def __init__(self, what: str, *, why: str = "", remedy: str = "", code: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        """One line: what, why, what to do."""
        parts = [self.what.rstrip(".")]
        if self.why:
            parts[0] += f" ({self.why.rstrip('.')})"
        if self.remedy:
            parts.append(self.remedy.rstrip("."))
        return ". ".join(parts) + "."


class InputError(VoiceAgentError):
    code = "input.invalid"
    fault: Fault = "user"


class AudioInputError(InputError):
    code = "audio.unreadable"


class SettingsError(InputError):
    code = "settings.invalid"
    fault: Fault = "operator"


class ModelError(VoiceAgentError):
    code = "model.unavailable"
    fault: Fault = "operator"


class EngineError(VoiceAgentError):
    """`engine` is the engine's name, such as "groq". `retry_after_s`: when it can be asked again, where it said so."""

    code = "engine.failed"
    fault: Fault = "service"

    def __init__(
        self,
        what: str,
        *,
        engine: str,
        why: str = "",
        remedy: str = "",
        code: str | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(what, why=why, remedy=remedy, code=code)
        self.engine = engine
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.retryable = retryable


class EngineUnavailable(EngineError):
    code = "engine.unavailable"
    fault: Fault = "operator"


class EngineTimeout(EngineError):
    code = "engine.timeout"
    retryable = True


class EngineFailed(EngineError):
    code = "engine.failed"


class AccessError(VoiceAgentError):
    """`retry_after_s`: when it may be tried again, where waiting helps."""

    code = "access.denied"
    fault: Fault = "user"

    def __init__(
        self, what: str, *, why: str = "", remedy: str = "", code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, why=why, remedy=remedy, code=code)
        self.retry_after_s = retry_after_s
        self.retryable = retry_after_s is not None


class OverloadedError(VoiceAgentError):
    """`retry_after_s`: when to ask again."""

    code = "server.overloaded"
    fault: Fault = "service"
    retryable = True

    def __init__(self, what: str, *, why: str = "", remedy: str = "", code: str | None = None, retry_after_s: float = 5.0) -> None:
        super().__init__(what, why=why, remedy=remedy, code=code)
        self.retry_after_s = retry_after_s


class TransportError(VoiceAgentError):
    code = "transport.failed"
    fault: Fault = "service"
