"""Two servers for all clients: one with the embedded engines only, one whose language model is scripted."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.conformance.servers import agent, scripted_llm
from tests.conformance.telling import MEASURED


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an agent on the embedded engines."""
    with agent(tmp_path_factory.mktemp("embedded"), LLM_ENGINES="local") as url:
        yield url


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an agent that hears and speaks with the embedded engines, and thinks as script.py does."""
    folder = tmp_path_factory.mktemp("scripted")
    with contextlib.ExitStack() as stack:
        llm = stack.enter_context(scripted_llm(folder / "llm"))
        yield stack.enter_context(agent(folder / "agent", LLM_ENGINES="openai-compatible", OPENAI_BASE_URL=f"{llm}/v1"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MEASURED:
        terminalreporter.section("clients")
    for line in MEASURED:
        terminalreporter.line(line)
