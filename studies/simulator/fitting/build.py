"""The presets, built from measurements: what is computed how, and what each number's origin is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.sources.simulator.parameters import (
    STATUSES,
    ConfidenceModel,
    Prompt,
    SimulatorParameters,
    StepTokens,
)
from gym_stepwise_routing.sources.simulator.presets import Origin, Preset
from gym_stepwise_routing.sources.simulator.process import FRESH, PROPAGATED, Process
from gym_stepwise_routing.sources.simulator.threshold_curves import solo
from studies.simulator.fitting.math_curve import HARDER, RECOVERY, fit
from studies.simulator.fitting.processbench import Solutions
from studies.simulator.fitting.recorded import measure_confidence, recorded_steps

__all__ = [
    "FIRST_RECORDED",
    "Sets",
    "bank_confidence",
    "build_gsm8k",
    "build_math",
    "build_math_3",
    "build_omni",
    "first_recorded",
]

Floats = NDArray[np.float64]
SMALL = Model("Qwen2.5-1.5B-Instruct", parameters=1.54e9, licence="Apache-2.0")
LARGE = Model("Qwen2.5-7B-Instruct", parameters=7.62e9, licence="Apache-2.0")
LARGEST = Model("Qwen2.5-72B-Instruct", parameters=72.7e9)
VERIFIER = Model("Qwen2.5-Math-PRM-7B", parameters=7.08e9)
_RECOVERY_GROWTH = 0.06
FIRST_RECORDED = 140
"""Problems of the first recording of the bundled bank that are not for tests."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets of ProcessBench that are used."""

    math: Solutions
    olympiad: Solutions
    omni: Solutions


def measured(text: str) -> Origin:
    """Origin of a number that was read off a measurement."""
    return Origin(basis="measured", text=text)


def derived(text: str) -> Origin:
    """Origin of a number that was computed from measurements."""
    return Origin(basis="derived", text=text)


def fitted(text: str) -> Origin:
    """Origin of a number that was chosen to meet measurements."""
    return Origin(basis="fitted", text=text)


def assumed(text: str) -> Origin:
    """Origin of a number that nothing was measured for."""
    return Origin(basis="assumption", text=text)


def build_math(sets: Sets, confidence: Floats) -> Preset:
    """``math-qwen2.5``: TRIM's pair on MATH, fitted to the published histograms and curve."""
    parameters, loss = fit((SMALL, LARGE), VERIFIER, confidence)
    clean, before, fresh, after = sets.math.characters_by_status()
    recovered = sets.math.recovery
    to_curve = (
        f"least squares to TRIM's MATH train histograms, score distributions and MATH-500 curve (loss {loss:.1f})"
    )
    origins = {
        "models": measured("model cards: parameters"),
        "verifier": measured("model card: parameters"),
        "horizon": measured("TRIM: at most 30 steps"),
        "level_shares": fitted(to_curve),
        "error": fitted(
            f"{to_curve}; every model alone loses at least {HARDER:g} of accuracy from the easy level to the hard one, "
            "an assumption: the published figures do not tell levels apart"
        ),
        "repair": fitted(f"{to_curve}; one number for both models"),
        "recovery": derived(
            f"ProcessBench MATH: {recovered:.3f} of the solutions with an error end right, where half of all answers "
            f"are right; {RECOVERY[0]:.2f} for the easy level and {RECOVERY[1]:.2f} for the hard one is an assumption"
        ),
        "stop": measured("TRIM, MATH train: stopping hazards of each model, after step 1 to 30"),
        "coupling": fitted(to_curve),
        "step_tokens.mean": fitted(to_curve),
        "step_tokens.spread": measured(
            "ProcessBench MATH, Qwen2.5-7B-Instruct: characters of a step, s.d. of the logarithm"
        ),
        "step_tokens.status_ratio": derived(
            f"ProcessBench MATH, characters: first wrong step {fresh:.0f}, correct steps of the same solutions "
            f"{before:.0f}; later steps ({after:.0f}) are set as long as correct ones, which fits the curve better"
        ),
        "step_tokens.level_ratio": fitted(
            f"as the tokens of the curve ask for; ProcessBench MATH gives {before / clean:.2f} (correct steps of "
            "wrong solutions to those of right ones)"
        ),
        "prompt.tokens": assumed("a MATH question and a short instruction"),
        "prompt.shared": assumed("the instruction"),
        "scores.measured": measured("TRIM, MATH train: joint distribution of score and least score so far, by status"),
        "scores.scored": measured("TRIM scores drafts; it is assumed to score rewritten steps alike"),
        "scores.near_zero": fitted(
            f"{to_curve}: released distributions are smoothed, and too mild for the released curve"
        ),
        "scores.near_one": fitted(f"{to_curve}: as near_zero; at most 0.9"),
        "scores.decay": fitted(to_curve),
        "scores.groups": assumed("ranges of the least score that are told apart"),
        **_confidence_origins("resampled from another pair (Qwen2.5-Coder-0.5B and 1.5B) on GSM8K"),
    }
    return Preset(parameters=parameters, origins=origins)


def build_math_3(two: Preset, sets: Sets) -> Preset:
    """``math-qwen2.5-3``: the same with a third model, Qwen2.5-72B."""
    ratio = _hazard_ratio(sets)
    small = two.parameters
    third = tuple(tuple(round(chance * ratio, 5) for chance in row) for row in small.error[1])
    assert small.scores is not None
    assert small.confidence is not None
    parameters = replace(
        small,
        name="math-qwen2.5-3",
        description="Qwen2.5-1.5B, 7B and 72B on MATH: math-qwen2.5 with a third model of derived error rates.",
        models=(*small.models, LARGEST),
        error=(*small.error, third),
        repair=(*small.repair, small.repair[1]),
        stop=(*small.stop, small.stop[1]),
        step_tokens=replace(small.step_tokens, mean=(*small.step_tokens.mean, small.step_tokens.mean[1])),
        prompt=Prompt(tokens=(*small.prompt.tokens, small.prompt.tokens[1]), shared=(*small.prompt.shared, 30)),
        scores=replace(small.scores, scored=(*small.scores.scored, LARGEST.name)),
        confidence=replace(small.confidence, shares=(*small.confidence.shares, small.confidence.shares[1])),
    )
    text = (
        f"models 0 and 1: math-qwen2.5; model 2: {ratio:.3f} times the chances of model 1, the ratio of first-error "
        "hazards of Qwen2.5-72B and 7B-Instruct in ProcessBench OlympiadBench and Omni-MATH together"
    )
    as_7b = " (models 0 and 1; model 2 is assumed to be as model 1)"
    same = (
        "repair",
        "stop",
        "step_tokens.mean",
        "prompt.tokens",
        "prompt.shared",
        "scores.scored",
        "confidence.shares",
    )
    origins = dict(two.origins) | {"error": derived(text)}
    for name in same:
        origins[name] = replace(origins[name], text=origins[name].text + as_7b)
    return Preset(parameters=parameters, origins=origins)


def _hazard_ratio(sets: Sets) -> float:
    def hazard(name: str) -> float:
        errors, steps = np.sum([part.of(name).exposure for part in (sets.olympiad, sets.omni)], axis=0)
        return float(errors / steps)

    return hazard(LARGEST.name) / hazard(LARGE.name)


def build_omni(two: Preset, sets: Sets) -> Preset:
    """``omni-like``: the same pair on olympiad problems, where wrong roads often lead to right answers."""
    small, solutions = two.parameters, sets.omni
    of_large = solutions.of(LARGE.name)
    target = float((of_large.first_error >= 0).mean())
    hazards = solutions.stop_hazards(small.horizon)
    recovery = _levels_around(solutions.recovery)
    assert small.scores is not None
    longer = _mean_characters(solutions) / _mean_characters(sets.math)

    def shifted(shift: float) -> SimulatorParameters:
        def moved(chance: float) -> float:
            return round(1 / (1 + (1 / chance - 1) * float(np.exp(-shift))), 5)

        return replace(
            small,
            name="omni-like",
            description="Qwen2.5-1.5B and 7B on olympiad problems as in ProcessBench, half of them answered right.",
            error=tuple(tuple(tuple(moved(c) for c in row) for row in matrix) for matrix in small.error),
            recovery=recovery,
            stop=(tuple(hazards.tolist()),) * 2,
            step_tokens=replace(
                small.step_tokens, mean=tuple(round(mean * longer, 2) for mean in small.step_tokens.mean)
            ),
            scores=replace(small.scores, measured="omni") if small.scores else None,
        )

    low, high = -4.0, 6.0
    for _ in range(50):
        middle = (low + high) / 2
        bare = replace(shifted(middle), recovery=(0.0, 0.0), repair=((0.0, 0.0),) * 2)
        low, high = (middle, high) if 1 - solo(Process.of(bare), 1).accuracy < target else (low, middle)
    parameters = shifted(middle)
    origins = dict(two.origins) | {
        "error": derived(
            f"math-qwen2.5, all logits shifted by {middle:.2f}: then {target:.3f} of the 7B model's solutions have an "
            f"error, as in ProcessBench Omni-MATH (n={len(of_large.right)})"
        ),
        "recovery": measured(
            f"ProcessBench Omni-MATH: {solutions.recovery:.3f} on average; that the levels have "
            f"{1 - _RECOVERY_GROWTH:g} and {1 + _RECOVERY_GROWTH:g} times that is an assumption, small enough that "
            "every model alone does worse on the hard level"
        ),
        "stop": measured(
            "ProcessBench Omni-MATH, all generators (n=1000): solution lengths, smoothed over three steps"
        ),
        "step_tokens.mean": derived(f"math-qwen2.5 times {longer:.3f}: characters of a step in ProcessBench"),
        "scores.measured": measured("TRIM, Omni-MATH: joint distribution of score and least score so far, by status"),
    }
    for name in ("level_shares", "repair", "coupling", "scores.near_zero", "scores.near_one", "scores.decay"):
        origins[name] = assumed("as math-qwen2.5")
    return Preset(parameters=parameters, origins=origins)


def _levels_around(mean: float) -> tuple[float, float]:
    """Recovery by level: growing, but so little that the hard level stays the harder one for every model alone."""
    return round((1 - _RECOVERY_GROWTH) * mean, 3), round((1 + _RECOVERY_GROWTH) * mean, 3)


def _mean_characters(solutions: Solutions) -> float:
    return float(np.concatenate(solutions.characters).mean())


def build_gsm8k(bank: Bank) -> Preset:
    """``gsm8k-like``: every number measured on the train and calibration problems of the bundled bank."""
    problems = first_recorded(bank)
    steps = recorded_steps(bank, problems)
    horizon, models = bank.manifest.horizon, range(len(bank.pool))
    tokens = bank.nodes.tokens[steps.child]

    def mean(values: NDArray[Any], rows: NDArray[np.bool_]) -> float:
        return round(float(np.average(values[rows], weights=steps.weight[rows])), 4)

    def error(model: int, depth: int) -> float:
        rows = (steps.model == model) & (steps.depth == depth) & (steps.status != PROPAGATED)
        return mean(steps.status == FRESH, rows)

    def stop(model: int, depth: int) -> float:
        return mean(bank.nodes.terminal[steps.child], (steps.model == model) & (steps.depth == depth))

    solvable = float(steps.solvable[steps.depth == 0][:: len(bank.pool)].mean())
    depths = range(horizon)
    line = steps.depth < horizon - 1  # at the horizon a step is the whole tail
    length = np.array([mean(tokens, line & (steps.status == status)) for status in range(len(STATUSES))])
    ratio = (length / length[0]).round(3)
    confidence = bank_confidence(bank)
    prompts = np.rint(bank.problems.prompt_tokens[problems].mean(axis=0)).astype(int).tolist()
    parameters = SimulatorParameters(
        name="gsm8k-like",
        description=f"Qwen2.5-Coder-0.5B and 1.5B on GSM8K: the first {FIRST_RECORDED} train and calibration problems "
        "of the bundled bank gsm8k-qwen2.5-coder, which grows.",
        models=bank.manifest.models,
        horizon=horizon,
        level_shares=(round(solvable, 4), round(1 - solvable, 4)),
        error=tuple((tuple(error(model, depth) for depth in depths), (1.0,)) for model in models),
        repair=((0.0, 0.0),) * len(bank.pool),
        recovery=(0.0, 0.0),
        stop=tuple(tuple(stop(model, depth) for depth in depths) for model in models),
        coupling=0.0,
        step_tokens=StepTokens(
            mean=tuple(mean(tokens / ratio[steps.status], steps.model == model) for model in models),
            spread=round(float(np.log(tokens[line]).std()), 3),
            status_ratio=tuple(ratio.tolist()),
            level_ratio=(1.0, 1.0),
        ),
        prompt=Prompt(tokens=tuple(prompts), shared=bank.manifest.prompt.shared_prefix_tokens),
        confidence=ConfidenceModel(
            measured=bank.name, shares=tuple(tuple(tuple(row) for row in matrix) for matrix in confidence.tolist())
        ),
    )
    recorded = f"train and calibration problems of the bank (n={len(problems)}), uniformly random routing"
    origins = {
        "models": measured("manifest of the bank"),
        "horizon": measured("manifest of the bank"),
        "level_shares": measured(f"{recorded}: problems that some recorded trace solves, and the others"),
        "error": measured(
            f"{recorded}: a trace is right while some recorded way on ends right; at the second level no trace is"
        ),
        "repair": derived("0: nothing repairs a trace that no recorded way on leads to the right answer"),
        "recovery": derived("0, for the same reason (ProcessBench GSM8K: 0.034 after a wrong step)"),
        "stop": measured(recorded),
        "coupling": assumed("independent: where one model errs, the other does not, or the trace was lost before"),
        "step_tokens.mean": measured(f"{recorded}; the tail that is written at the horizon counts as a step"),
        "step_tokens.spread": measured(f"{recorded}: s.d. of the logarithm, without the tail"),
        "step_tokens.status_ratio": measured(f"{recorded}, without the tail"),
        "step_tokens.level_ratio": assumed("no difference"),
        "prompt.tokens": measured("mean over these problems"),
        "prompt.shared": measured("manifest of the bank"),
        "confidence.measured": measured("the same bank"),
        "confidence.shares": measured(f"{recorded}, on problems that some trace solves"),
    }
    return Preset(parameters=parameters, origins=origins)


def first_recorded(bank: Bank) -> NDArray[np.int64]:
    """The train and calibration problems that ``gsm8k-like`` stands for: rows 0 to 139 of GSM8K train.

    The recording grew at that time; a preset that grew with it would be another one, with other optima, under the same
    name.
    """
    problems = np.concatenate([bank.split_problems("train"), bank.split_problems("calibration")])
    rows = np.asarray(bank.problems.index)[problems]
    official = np.asarray(bank.problems.official_split)[problems]
    first: NDArray[np.int64] = problems[(official == "train") & (rows < FIRST_RECORDED)]
    return first


def bank_confidence(bank: Bank) -> Floats:
    """Chance of each confidence bin on the train and calibration problems of a bank, ``float64[K, status, bin]``."""
    from gym_stepwise_routing.sources.simulator.score_signals import confidence_rows

    problems = first_recorded(bank)
    return measure_confidence(bank, recorded_steps(bank, problems), confidence_rows(bank.name)[1])


def _confidence_origins(where: str) -> dict[str, Origin]:
    return {"confidence.measured": assumed(where), "confidence.shares": assumed(where)}
