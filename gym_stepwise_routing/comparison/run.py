"""A comparison from the arguments of the command line: finds the verifier, the families and the games."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gym_stepwise_routing.banks.questions import join_questions
from gym_stepwise_routing.baselines.verifiers.score_files import read_scores
from gym_stepwise_routing.comparison.arena import Arena, asked_by_name
from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.comparison.comparison import Comparison, compare
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.costs.units import DEFAULT_UNIT, CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.routers.families import Family
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.subset import limited
from gym_stepwise_routing.types import Mode, Split

__all__ = ["ready_arena", "run_comparison", "select"]

RANDOM_PROBLEMS = 500
"""Problems of each split of a random source."""


def run_comparison(
    source: object,
    *,
    mode: Mode = "route",
    cost_unit: CostUnit = DEFAULT_UNIT,
    split: Split = "test",
    rule: Rule | None = None,
    only: Sequence[str] = (),
    problems: int | None = None,
    scores: Sequence[Path] = (),
    questions: Mapping[str, Path] | None = None,
    encoder: str | None = None,
    seed: int = 0,
    resamples: int = 10_000,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare the families of the roster on a source.

    A bank that is given no other scores gets those of a feature verifier that is fitted on its train split.

    Args:
        source: what :class:`gym_stepwise_routing.game.game.Game` takes.
        mode: mode of the game.
        cost_unit: unit of the cost axis.
        split: split that is reported, ``test`` or ``train``.
        rule: how a setting is chosen on the calibration split; at least 95 % of always-largest's accuracy if None.
        only: parts of the names of families to keep, all if empty.
        problems: most problems a split; None: all of a bank, ``RANDOM_PROBLEMS`` of a random source.
        scores: files of scores of the bank, see :mod:`gym_stepwise_routing.baselines.verifiers.score_files`. Ratings
            and largest logits go to SpecReason and STEER; of the other verifiers the first judges.
        questions: files of the question texts, by ``dataset/split``; None: no texts.
        encoder: local folder or hub name of a text encoder; None: routers that need one are not applicable.
        seed: seed of random sources and of whatever is fitted.
        resamples: bootstrap resamples over problems.
        progress: called with each family's name before its turn.

    Raises:
        ValueError: an argument out of range.
    """
    families = select(only)
    arena = ready_arena(
        source,
        mode=mode,
        cost_unit=cost_unit,
        split=split,
        problems=problems,
        scores=scores,
        questions=questions,
        encoder=encoder,
        seed=seed,
    )
    return compare(arena, families, rule or Rule(), resamples=resamples, progress=progress)


def ready_arena(
    source: object,
    *,
    mode: Mode = "route",
    cost_unit: CostUnit = DEFAULT_UNIT,
    split: Split = "test",
    problems: int | None = None,
    scores: Sequence[Path] = (),
    questions: Mapping[str, Path] | None = None,
    encoder: str | None = None,
    seed: int = 0,
) -> Arena:
    """Where the families of the roster are compared on a source; arguments and errors as :func:`run_comparison`."""
    found = resolve(source)
    if not isinstance(found, BankSource) and (scores or questions is not None):
        raise ValueError(f"scores or questions with {found.kind} {found.name!r}; allowed: with a bank")
    scored = _scored(found, scores, seed)
    texts = join_questions(found.bank, questions) if isinstance(found, BankSource) and questions else None
    if problems is not None or not found.deterministic:
        most = RANDOM_PROBLEMS if problems is None else problems
        found, scored = limited(found, most), [limited(each, most) for each in scored]
    return Arena(
        found,
        mode=mode,
        cost_unit=cost_unit,
        split=split,
        scored=scored,
        questions=texts,
        encoder=encoder,
        seed=seed,
    )


def select(only: Sequence[str]) -> tuple[Family, ...]:
    """Families whose name contains one of the parts, in the roster's order; all of them if there are no parts.

    Raises:
        ValueError: a part that no name contains.
    """
    everyone = roster()
    for part in only:
        if not any(part.lower() in family.name.lower() for family in everyone):
            names = ", ".join(family.name for family in everyone)
            raise ValueError(f"only={part!r} is in no router's name; allowed: parts of {names}")
    return tuple(family for family in everyone if not only or any(part.lower() in family.name.lower() for part in only))


def _scored(source: StepSource, scores: Sequence[Path], seed: int) -> list[StepSource]:
    """The bank with the scores of each file; where none judges for all, a feature verifier does."""
    if not isinstance(source, BankSource):
        return []
    found = [read_scores(path, source.bank) for path in scores]
    names = {each.pool.verifier.name for each in found if each.pool.verifier is not None}
    if source.pool.verifier is None and names <= set(asked_by_name(source.pool)):
        try:
            from gym_stepwise_routing.baselines.verifiers.features import feature_verifier

            found.append(feature_verifier(source.bank, seed=seed))
        except (ImportError, NotApplicableError):
            pass  # routers that need scores then say that there are none
    return [BankSource(bank) for bank in found]
