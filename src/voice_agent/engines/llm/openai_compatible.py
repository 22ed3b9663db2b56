"""Language models at any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp's server, Ollama, …"""

from typing import Any

from voice_agent.engines.base import LlmCapabilities, LlmRequest
from voice_agent.engines.llm.chat_stream import CONNECT_TIMEOUT_S, KEEP_OPEN_S, ChatStream, Patience, SdkStream
from voice_agent.engines.llm.faults import Peer, SdkErrors
from voice_agent.engines.llm.wire import request_fields

NO_KEY = "none"
"""What is sent to a server that asks for no key; the SDK insists on one."""

CONTEXT_TOKENS = 8192
"""Assumed where nobody says better: the smallest default of the common servers and models."""


class OpenAiCompatibleLlm(ChatStream):
    """`name` "openai-compatible". Loading imports the SDK (about 0.8 s), so make it off the loop."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        first_token_timeout_s: float = 5.0,
        tools: bool = True,
        context_tokens: int = CONTEXT_TOKENS,
    ) -> None:
        """`base_url` up to and with its `/v1`. `tools`: the model can call functions."""
        sdk = _OpenAiSdk(base_url, model, api_key, tools)
        peer = Peer(
            engine="openai-compatible",
            model=model,
            host=sdk.host,
            key_setting="OPENAI_API_KEY",
            model_setting="OPENAI_MODEL",
            address_setting="OPENAI_BASE_URL",
        )
        super().__init__(
            sdk,
            peer=peer,
            capabilities=LlmCapabilities(tools=tools, context_tokens=context_tokens),
            patience=Patience(first_token_s=first_token_timeout_s),
        )


class _OpenAiSdk:
    def __init__(self, base_url: str, model: str, api_key: str, tools: bool) -> None:
        import httpx2  # the HTTP client of this SDK
        import openai

        self.errors = SdkErrors(
            base=openai.APIError,
            status=openai.APIStatusError,
            connection=openai.APIConnectionError,
            timeout=openai.APITimeoutError,
            transport=(httpx2.HTTPError,),
        )
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),
                limits=httpx2.Limits(keepalive_expiry=KEEP_OPEN_S),
            ),
        )
        # The SDK takes both from the environment, and another server has no business to learn them.
        self._client.organization = self._client.project = None
        self._model = model
        self._tools = tools
        self.host = self._client.base_url.host

    async def open(self, request: LlmRequest) -> SdkStream:
        fields: dict[str, Any] = request_fields(request, tools=self._tools)
        fields["max_tokens"] = request.max_tokens  # the newer max_completion_tokens is unknown to many servers
        stream: SdkStream = await self._client.chat.completions.create(
            model=self._model, stream=True, stream_options={"include_usage": True}, **fields
        )
        return stream

    async def ping(self) -> None:
        await self._client.models.with_raw_response.list()

    async def close(self) -> None:
        await self._client.close()
