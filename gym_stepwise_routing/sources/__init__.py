"""Step sources: recorded (bank), simulated and live. ``resolve`` finds the source that a user means."""

from __future__ import annotations

from pathlib import Path

from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.storage.former_names import check_former
from gym_stepwise_routing.storage.hugging_face import is_reference

__all__ = ["StepSource", "resolve"]


def resolve(source: object) -> StepSource:
    """The step source that ``source`` stands for.

    Args:
        source: a :class:`StepSource` (returned as it is), a :class:`gym_stepwise_routing.banks.Bank`, the name of a
            bundled bank, the name of a simulator preset, ``"hf://owner/name[@revision][#hash]"`` for a bank on the
            Hugging Face hub, or the path of a bank's folder (looked for in this order; a ``Path`` or ``"./name"`` is
            never a name).

    Raises:
        ValueError: it is none of these; the message lists the names there are. Or a former name of a bank.
        BankError: it is a bank, but a damaged one.
        HubError: the hub does not give it.
    """
    from gym_stepwise_routing.banks import BANKS, Bank
    from gym_stepwise_routing.sources.recorded import BankSource

    if isinstance(source, Bank):
        return BankSource(source)
    if isinstance(source, StepSource):
        return source
    if isinstance(source, str | Path):
        check_former("source", source)
        if source in BANKS:  # names first, so that no folder that lies about can take their place
            return BankSource(Bank.open(source))
        from gym_stepwise_routing.sources.simulator import PRESETS, SimulatorSource

        if source in PRESETS:
            return SimulatorSource(str(source))
        if is_reference(source) or (str(source) and Path(source).is_dir()):
            return BankSource(Bank.open(source))
        raise ValueError(
            f"source={str(source)!r} is not known; allowed: a bundled bank ({', '.join(BANKS)}), "
            f"a simulator preset ({', '.join(PRESETS)}), the folder of a bank, or hf://owner/name"
        )
    raise ValueError(f"source={source!r}; allowed: a StepSource, a Bank, a name or a path")
