"""Language models at Groq, through its SDK."""

from typing import Any, Literal

from voice_agent.engines.base import LlmCapabilities, LlmRequest
from voice_agent.engines.llm.chat_stream import CONNECT_TIMEOUT_S, KEEP_OPEN_S, ChatStream, Patience, SdkStream
from voice_agent.engines.llm.faults import Peer, SdkErrors
from voice_agent.engines.llm.wire import request_fields

DEFAULT_MODEL = "llama-3.3-70b-versatile"
"""The fastest of Groq's capable models: warm time to first token p50 163 ms, against 223 ms of gpt-oss-20b and 318 of -120b."""

CONTEXT_TOKENS = 131_072

REASONING_TOKENS = 512
"""Added to `max_tokens` for a model that thinks first: gpt-oss spent a budget of 64 on thinking alone."""

Effort = Literal["low", "medium", "high"]


class GroqLlm(ChatStream):
    """`name` "groq". Loading imports the SDK (about 0.5 s), so make it off the loop."""

    def __init__(
        self,
        *,
        api_key: str,
        model: str = DEFAULT_MODEL,
        base_url: str | None = None,
        first_token_timeout_s: float = 5.0,
        reasoning_effort: Effort = "low",
        context_tokens: int = CONTEXT_TOKENS,
    ) -> None:
        """`reasoning_effort` is for gpt-oss models only; others are not told."""
        sdk = _GroqSdk(api_key, model, base_url, reasoning_effort)
        peer = Peer(
            engine="groq",
            model=model,
            host=sdk.host,
            key_setting="GROQ_API_KEY",
            model_setting="GROQ_MODEL",
            address_setting="GROQ_BASE_URL",
        )
        super().__init__(
            sdk,
            peer=peer,
            capabilities=LlmCapabilities(tools=True, context_tokens=context_tokens),
            patience=Patience(first_token_s=first_token_timeout_s),
        )


class _GroqSdk:
    def __init__(self, api_key: str, model: str, base_url: str | None, effort: Effort) -> None:
        import groq
        import httpx

        self.errors = SdkErrors(
            base=groq.APIError,
            status=groq.APIStatusError,
            connection=groq.APIConnectionError,
            timeout=groq.APITimeoutError,
            transport=(httpx.HTTPError,),
        )
        self._client = groq.AsyncGroq(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            http_client=groq.DefaultAsyncHttpxClient(
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
                limits=httpx.Limits(keepalive_expiry=KEEP_OPEN_S),
            ),
        )
        self._model = model
        self._effort: Effort | None = effort if "gpt-oss" in model else None
        self.host = self._client.base_url.host

    async def open(self, request: LlmRequest) -> SdkStream:
        fields: dict[str, Any] = request_fields(request, tools=True)
        fields["max_completion_tokens"] = request.max_tokens
        if self._effort is not None:
            fields["max_completion_tokens"] += REASONING_TOKENS
            fields["reasoning_effort"] = self._effort
            fields["include_reasoning"] = False
        stream: SdkStream = await self._client.chat.completions.create(
            model=self._model, stream=True, extra_body={"stream_options": {"include_usage": True}}, **fields
        )
        return stream

    async def ping(self) -> None:
        await self._client.models.with_raw_response.list()

    async def close(self) -> None:
        await self._client.close()
