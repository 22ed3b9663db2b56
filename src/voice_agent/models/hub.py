"""Fetching one file from a model hub over HTTP: resumed after a broken connection, refused when its hash is wrong."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from voice_agent.errors import ModelError
from voice_agent.models.address import HUB_UNREACHABLE, HubAddress
from voice_agent.models.catalogue import HubSource, ModelFile
from voice_agent.models.disk import BLOCK_BYTES, in_thread, megabytes
from voice_agent.models.part import Digest, PartFile, Validator, discard, half_of, note_validator

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""Seconds. A read that brings no byte for 30 s is a dead connection; the next attempt goes on from there."""

ATTEMPTS = 4
"""Attempts in a row that bring less than a block before the fetch gives up (the half file stays)."""

SILENT_ATTEMPTS = 2
"""Attempts with a hub that takes connections and never answers. They cost 30 s each."""

MOST_RECEIVED = 3
"""Times a file's size that may come in before the fetch gives up on a server that changes what it sends."""

LONGEST_PAUSE_S = 30.0
"""However long a hub asks us to wait (Retry-After)."""


WRONG = "model.hash_mismatch"

_NO_WAY = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.TooManyRedirects,
    httpx.InvalidURL,
)
"""The hub is not there at all; asking again at once would not help."""


class _Interrupted(Exception):
    """The attempt ended early; another may succeed."""

    def __init__(self, why: str, *, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class _Spoiled(Exception):
    """The half file on disk is not the beginning of what the hub sends."""


def open_client(hub: HubAddress) -> httpx.AsyncClient:
    """Blocking (it reads certificates). Raises `ModelError` when the address, the token or the proxy cannot be used.

    The token goes to the hub's own host only: httpx drops it when redirected elsewhere.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": "voice-agent"}
    if hub.token:
        if not (hub.token.isascii() and hub.token.isprintable()):
            raise ModelError("HF_TOKEN is not a token", why="it holds characters that no token has", code="model.forbidden")
        headers["Authorization"] = f"Bearer {hub.token}"
    try:
        if httpx.URL(hub.url).scheme not in ("http", "https"):
            raise httpx.InvalidURL("not http or https")
        return httpx.AsyncClient(headers=headers, timeout=TIMEOUT, follow_redirects=True)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise ModelError(
            f"The model hub's address {hub.url!r} or the proxy settings cannot be used",
            why=str(error),
            remedy="Set MODELS_HUB_URL (or HF_ENDPOINT) to an address such as https://hub.example.org",
            code=HUB_UNREACHABLE,
        ) from error


async def download(
    hub: HubAddress, client: httpx.AsyncClient, source: HubSource, file: ModelFile, part: Path, report: Callable[[int], None]
) -> str:
    """Writes `file` to `part` and returns its sha256, checked. `report` gets the bytes that are there so far.

    Raises `ModelError`, and OSError when the disk refuses. A half file stays for the next attempt.
    """
    return await _Download(hub, client, source, file, part, report).run()


@dataclass(slots=True)
class _Download:
    hub: HubAddress
    client: httpx.AsyncClient
    source: HubSource
    file: ModelFile
    part: Path
    report: Callable[[int], None]
    _received: int = 0

    async def run(self) -> str:
        if (sha256 := await in_thread(self._finished_earlier)) is not None:
            self.report(self.file.bytes)
            return sha256
        try:
            return await self._until_it_is_there()
        except ModelError as error:
            if error.code == WRONG:
                await in_thread(discard, self.part)
            raise

    def _finished_earlier(self) -> str | None:
        """The hash of the file when an earlier fetch got all of it, and failed at another file of the model."""
        size, known = half_of(self.part)
        wanted = Digest("sha256", self.file.sha256) if self.file.sha256 else Digest.parse(known.advertised)
        if size != self.file.bytes or wanted is None:
            return None
        file = PartFile(self.part, total=size, resume=True)
        file.close()
        return file.sha256 if file.matches(wanted) else None

    async def _until_it_is_there(self) -> str:
        failures = 0
        self.report((await in_thread(half_of, self.part))[0])  # so that waiting for a slow hub is seen
        while True:
            before = self._received
            try:
                return await self._attempt()
            except _Spoiled:
                await in_thread(discard, self.part)
                failures += 1
                if failures >= ATTEMPTS:
                    raise self._error("keeps changing while it is fetched", code=WRONG) from None
            except _NO_WAY as error:
                if not self._received:
                    raise self._unreachable(error) from error
                failures += 1
                await self._pause_after(error, failures)
            except (_Interrupted, httpx.TransportError) as error:
                failures = 1 if self._received - before >= BLOCK_BYTES else failures + 1
                if isinstance(error, httpx.TimeoutException) and not self._received and failures >= SILENT_ATTEMPTS:
                    raise self._unreachable(error) from error
                await self._pause_after(error, failures)

    async def _pause_after(self, error: Exception, failures: int) -> None:
        if failures >= ATTEMPTS or self._received > MOST_RECEIVED * self.file.bytes:
            raise self._gave_up(error) from error
        asked = error.pause_s if isinstance(error, _Interrupted) else None
        await asyncio.sleep(self.hub.first_pause_s * 2 ** (failures - 1) if asked is None else asked)

    async def _attempt(self) -> str:
        start, known = await in_thread(half_of, self.part)
        resume = 0 < start < self.file.bytes and bool(known.etag or known.advertised or self.file.sha256)
        headers = {"Range": f"bytes={start}-"} if resume else {}
        if resume and known.etag:
            headers["If-Range"] = known.etag
        async with self.client.stream("GET", self._url(), headers=headers) as response:
            self._demand_success(response)
            validator = _validator(response)
            digest = self._expected_digest(validator)
            resumed = resume and response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumed and (not _begins_at(response, start) or _other_content(known, validator)):
                raise _Spoiled
            self._demand_size(response, start if resumed else 0)
            await in_thread(note_validator, self.part, validator)
            writer = await in_thread(PartFile, self.part, total=self.file.bytes, resume=resumed)
            try:
                await self._receive(response, writer)
            finally:
                await in_thread(writer.close)
        return await self._checked(writer, digest, resumed=resumed)

    async def _receive(self, response: httpx.Response, writer: PartFile) -> None:
        pending = bytearray()
        self.report(writer.size)
        try:
            async for chunk in response.aiter_raw():
                pending += chunk
                self._received += len(chunk)
                if writer.size + len(pending) > self.file.bytes:
                    raise self._error("is larger at the hub than the catalogue says", code=WRONG)
                if len(pending) >= BLOCK_BYTES:
                    block = bytes(pending)
                    pending.clear()
                    await in_thread(writer.write, block)
                    self.report(writer.size)
        finally:
            if pending:
                await in_thread(writer.write, bytes(pending))  # also what came before a broken connection
        self.report(writer.size)

    async def _checked(self, writer: PartFile, digest: Digest, *, resumed: bool) -> str:
        if writer.size < self.file.bytes:
            raise _Interrupted(f"the hub sent {writer.size} of {self.file.bytes} bytes")
        if writer.matches(digest):
            return writer.sha256
        if resumed:
            raise _Spoiled  # the half that lay on the disk may be at fault: once more, from the beginning
        raise self._error("does not have the hash that it must have; nothing was installed", code=WRONG)

    def _expected_digest(self, validator: Validator) -> Digest:
        if self.file.sha256 is not None:
            return Digest("sha256", self.file.sha256)
        digest = Digest.parse(validator.advertised)
        if digest is None:
            raise self._error("has no known hash, and the hub advertises none; it is refused", code="model.hash_unknown")
        return digest

    def _demand_success(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            return
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _Spoiled
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._refused(status)
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise self._error(f"is not at the hub (HTTP {status})", code="model.not_found")
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.REQUEST_TIMEOUT) or status >= 500:
            wait = response.headers.get("Retry-After", "")
            raise _Interrupted(f"HTTP {status}", pause_s=min(LONGEST_PAUSE_S, float(wait)) if wait.isdecimal() else None)
        raise self._error(f"was refused by the hub (HTTP {status})", code="model.unavailable")

    def _demand_size(self, response: httpx.Response, start: int) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and start + int(length) != self.file.bytes:
            raise self._error(f"has {start + int(length)} bytes at the hub and {self.file.bytes} in the catalogue", code=WRONG)

    def _url(self) -> str:
        path = self.source.paths[self.file.name]
        return f"{self.hub.url.rstrip('/')}/{self.source.hub}/resolve/{self.source.revision}/{path}"

    def _error(self, what: str, *, code: str, why: str = "", remedy: str = "", retryable: bool = False) -> ModelError:
        error = ModelError(f"{self.file.name} of {self.source.hub} {what}", why=why, remedy=remedy, code=code)
        error.retryable = retryable
        return error

    def _refused(self, status: int) -> ModelError:
        remedy = "Check the token in HF_TOKEN" if self.hub.token else "If the repository is private or gated, set HF_TOKEN"
        return self._error(f"may not be read (HTTP {status})", code="model.forbidden", remedy=remedy)

    def _unreachable(self, error: Exception) -> ModelError:
        return ModelError(
            f"The model hub at {httpx.URL(self.hub.url).host} cannot be reached",
            why="it does not answer" if isinstance(error, httpx.TimeoutException) else str(error) or type(error).__name__,
            remedy="Check the network, or set MODELS_HUB_URL to a mirror",
            code=HUB_UNREACHABLE,
        )

    def _gave_up(self, error: Exception) -> ModelError:
        return self._error(
            "could not be fetched to its end",
            why=f"{str(error) or type(error).__name__}; {megabytes(self._received)} came in this attempt",
            remedy="Fetch it again: it goes on from where it stopped",
            code="model.interrupted",
            retryable=True,
        )


def _validator(response: httpx.Response) -> Validator:
    """The hub's own answer, before it redirects to its storage, carries the hash; the last one, what If-Range compares."""
    etag: str = response.headers.get("ETag", "")
    linked = (answer.headers.get("X-Linked-Etag", "") for answer in (*response.history, response))
    advertised = next(filter(None, linked), etag)
    return Validator(advertised if Digest.parse(advertised) else "", "" if etag.startswith("W/") else etag)


def _begins_at(response: httpx.Response, start: int) -> bool:
    header: str = response.headers.get("Content-Range", "")
    return header.startswith(f"bytes {start}-")


def _other_content(known: Validator, now: Validator) -> bool:
    pairs = ((known.advertised, now.advertised), (known.etag, now.etag))
    return any(old and new and old != new for old, new in pairs)
