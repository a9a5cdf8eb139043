"""One policy, played from a recorded bank and live on the same models, problem by problem.

``python benchmarks/live_against_bank.py --dataset gsm8k/test:0-10 --models ... --models ... --out runs/both`` records
the problems (or goes on with the recording that is there), loads the models again, and plays both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gym_stepwise_routing.baselines import ConfidenceThreshold
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators.prompts import default_prompt, load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.step_rules import step_rule
from gym_stepwise_routing.sources.live import LiveSource
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.types import Mode


def main(
    dataset: Annotated[str, typer.Option(help="NAME/SPLIT[:ROWS] of a split that is not for training.")],
    models: Annotated[list[str], typer.Option(help="BACKEND:MODEL[,key=value...], smallest first.")],
    out: Annotated[Path, typer.Option(help="Folder of the recording.")],
    mode: Annotated[str, typer.Option(help="route, escalate or regenerate.")] = "escalate",
    prompt: Annotated[
        str | None, typer.Option(help="Bundled prompt, or a text file with {question}; by default that of the grading.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with local files of known datasets.")] = None,
    threshold: Annotated[
        float, typer.Option(help="The larger model where the least probability is below 1 - it.")
    ] = 0.5,
) -> None:
    """Record, play the bank, play live, and print both."""
    check_choice("mode", mode, ("route", "escalate", "regenerate"))
    playing: Mode = mode  # type: ignore[assignment]
    specs = tuple(GeneratorSpec.parse(text) for text in models)
    selection = Selection.parse(dataset, data=data)
    template = load_prompt(prompt or default_prompt(selection.grading))
    rule = step_rule(template, selection.grading)
    settings = RecordingSettings(template, mode=playing, rule=rule, grading=selection.grading)
    session = RecordingSession(specs, (selection,), settings, out, "benchmarks/live_against_bank.py", "MIT")
    session.run()
    bank = session.bank("recorded")
    router = ConfidenceThreshold("p_min", threshold)
    recorded_game = Game(BankSource(bank), split="test", mode=playing, cost_unit="large_tokens")
    live = LiveSource(
        {"test": selection.problems},
        [spec.build() for spec in specs],
        pool=bank.pool,
        prompt=settings.prompt,
        rule=settings.rule,
        grading=selection.grading,
    )
    try:
        game = Game(live, split="test", mode=playing, cost_unit="large_tokens", normaliser=recorded_game.normaliser)
        one, other = play(router, recorded_game), play(router, game)
    finally:
        live.close()
    _show(one, other)


def _show(one: Evaluation, other: Evaluation) -> None:
    order = [other.problems.index(problem) for problem in one.problems]
    print(f"{'problem':22} {'bank':>8} {'live':>8}   right   cost, bank and live")
    same = 0
    for row, there in enumerate(order):
        decisions = ["".join(str(a) for a in e.decisions[i] if a >= 0) for e, i in ((one, row), (other, there))]
        equal = decisions[0] == decisions[1] and one.right[row] == other.right[there]
        same += equal and bool(np.isclose(one.cost[row], other.cost[there]))
        right, cost = (one.right[row], other.right[there]), (one.cost[row], other.cost[there])
        print(
            f"{one.problems[row]:22} {decisions[0]:>8} {decisions[1]:>8}   {right[0]:d} {right[1]:d}     "
            f"{cost[0]:.3f} {cost[1]:.3f}"
        )
    print(f"same decisions, verdict and cost: {same} of {len(one.problems)}")


if __name__ == "__main__":
    typer.run(main)
