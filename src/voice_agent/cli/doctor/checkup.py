"""All checks of one visit."""

import asyncio
from collections.abc import Callable

from voice_agent.assembly import Assembly, cores
from voice_agent.cli.doctor import machine
from voice_agent.cli.doctor.bounded import checked
from voice_agent.cli.doctor.engines import Patience, check_engines
from voice_agent.cli.doctor.findings import Finding, Group, State
from voice_agent.cli.doctor.judgement import Report, judge
from voice_agent.cli.doctor.setup import check_hub, check_settings, check_weights
from voice_agent.settings import LoadedSettings

SURROUNDINGS_S = 5.0
"""For each look at the machine: a sound server or a name server that does not answer must not keep the doctor."""


async def examine(assembly: Assembly, loaded: LoadedSettings, patience: Patience) -> Report:
    """Never raises for what it finds. The hub is asked while the engines load; nothing else runs beside a probe."""
    weights = await asyncio.to_thread(check_weights, assembly.store, loaded.values)
    needed = any(finding.state is not State.OK for finding in weights)
    async with asyncio.TaskGroup() as group:
        hub = group.create_task(checked("network", "model hub", lambda: check_hub(loaded.values, needed=needed), SURROUNDINGS_S))
        engines = group.create_task(check_engines(assembly, patience))
    hardware = [
        await _look("hardware", "processor", lambda: machine.processor(cores())),
        await _look("hardware", "memory", machine.memory),
        await _look("hardware", "gpu", machine.gpu),
        await _look("hardware", "sound device", machine.sound_device),
        await _look("hardware", "disk", lambda: machine.disk(assembly.store.root)),
    ]
    settings = await asyncio.to_thread(check_settings, loaded)
    return judge([*engines.result(), *hardware, *settings, *weights, hub.result()])


async def _look(group: Group, name: str, look: Callable[[], Finding]) -> Finding:
    return await checked(group, name, lambda: asyncio.to_thread(look), SURROUNDINGS_S)
