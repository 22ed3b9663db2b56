"""How many sessions this machine can hold.

    min(processors × SESSIONS_PER_PROCESSOR, (memory − ENGINES_BYTES) / SESSION_BYTES), at least 1

Processors and memory are those of the container where there is one. SERVER_MAX_SESSIONS overrules the formula: with engines
that run elsewhere (Groq, a GPU) a processor carries more.
"""

import math
from pathlib import Path

import psutil

from voice_agent.assembly import cores

SESSIONS_PER_PROCESSOR = 8
"""The embedded engines take about a third of a core from a person who speaks and from an answer that is made, and nothing in
between; people speak about a third of the time. So 8 sessions keep one core busy, and a queue forms only in bursts."""

ENGINES_BYTES = 1_000_000_000
"""Set aside for the models and the process itself: the embedded ones take 0.6 GB, larger ones more."""

SESSION_BYTES = 32_000_000
"""For one session: its audio buffers, its transcript, its share of prompt caches and of the sockets' buffers."""

CGROUP = Path("/sys/fs/cgroup")


def session_limit(processors: float, memory_bytes: int) -> int:
    """The formula above."""
    by_processor = math.floor(processors * SESSIONS_PER_PROCESSOR)
    by_memory = (memory_bytes - ENGINES_BYTES) // SESSION_BYTES
    return max(1, min(by_processor, by_memory))


def processors(cgroup: Path = CGROUP) -> float:
    """That this process may use; a container's quota counts, such as 1.5."""
    quota = _words(cgroup / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]) > 0:
        return min(float(cores()), int(quota[0]) / int(quota[1]))
    return float(cores())


def memory_bytes(cgroup: Path = CGROUP) -> int:
    """Of the machine or of the container."""
    limit = _words(cgroup / "memory.max")
    total = int(psutil.virtual_memory().total)
    return min(total, int(limit[0])) if limit and limit[0].isdigit() else total


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # not Linux, no container, or an older kind of cgroup


MACHINE_SESSIONS = session_limit(processors(), memory_bytes())
"""Of this machine; found at the start, before a loop runs that the reading could block."""
