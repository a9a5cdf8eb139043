"""``stepwise-routing train``: an agent, a bank and a number of seeds become one folder a seed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.costs.units import COST_UNITS, DEFAULT_UNIT
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.types import MODES

__all__ = ["train"]


def train(
    out: Annotated[Path, typer.Option(help="Folder to write AGENT-seedN folders to.")],
    agent: Annotated[str, typer.Option(help=f"One of {', '.join(AGENTS)}.")] = ("lagrangian_ppo"),
    bank: Annotated[str, typer.Option(help="Bundled bank, folder of a bank, or simulator preset.")] = (
        "gsm8k-qwen2.5-coder"
    ),
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "route",
    cost_unit: Annotated[str, typer.Option(help=f"One of {', '.join(COST_UNITS)}.")] = DEFAULT_UNIT,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs.")] = 5,
    first_seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the first run; the others follow. Default: 0, or that of --resume."),
    ] = None,
    limit: Annotated[float | None, typer.Option(help="Constrained agents: highest cost, or lowest accuracy.")] = None,
    constraint: Annotated[
        str,
        typer.Option(help="What --limit limits: cost_limit, accuracy_floor, or relative_floor (to always-largest)."),
    ] = "cost_limit",
    penalty: Annotated[float | None, typer.Option(help="Agents without a constraint: price of the cost.")] = None,
    variant: Annotated[str | None, typer.Option(help="Variant of the shipped settings, such as simulator.")] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps a run, up to whole rollouts (exact: of the gradient); default: as shipped."),
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints, in AGENT-seedN-checkpoints.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of a run to go on with; one seed, and --trust.")] = None,
    trust: Annotated[bool, typer.Option(help="I know who wrote the run to resume: it holds pickles.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train an agent on the train split of a bank with its shipped hyperparameters.

    Each folder holds manifest.json (the bank's hash, game, hyperparameters, seed, versions), router.npz (the policy as
    plain arrays) and model.zip (to go on training with Stable-Baselines3).
    """
    import torch

    from gym_stepwise_routing.agents.run_training import settings_of, train_run
    from gym_stepwise_routing.agents.runs import RunManifest
    from gym_stepwise_routing.agents.training import Checkpoints, environment_config, hyperparameters
    from gym_stepwise_routing.calibration.saving import constant_model
    from gym_stepwise_routing.evaluation.evaluate import play
    from gym_stepwise_routing.game.game import Game

    console = Console(stderr=as_json)
    told: list[dict[str, Any]] = []
    torch.set_num_threads(1)  # the networks are tiny: more threads only wait for each other
    with plain_errors():
        if resume is not None and seeds != 1:
            raise ValueError(f"--seeds={seeds} with --resume={resume}, which is one run; allowed: --seeds 1")
        if first_seed is None:
            first_seed = 0 if resume is None else RunManifest.load(resume / "manifest.json").seed
        if resume is not None and variant is None:
            settings = settings_of(resume)
        else:
            settings = hyperparameters(agent, variant or AGENTS.get(agent).settings_for.get(constraint))
        settings = replace(
            settings,
            penalty=settings.penalty if penalty is None else penalty,
            total_timesteps=settings.total_timesteps if steps is None else steps,
        )
        arguments = _constraint(agent, AGENTS.get(agent).constrained, limit, constraint, penalty)
        game = GameConfig(bank, mode=mode, cost_unit=cost_unit)  # type: ignore[arg-type]
        for seed in range(first_seed, first_seed + seeds):
            folder = out / f"{agent}-seed{seed}"
            with Progress(console=console, transient=True) as bar:
                task = bar.add_task(folder.name, total=settings.total_timesteps)
                router = train_run(
                    agent,
                    folder,
                    seed=seed,
                    game=game,
                    settings=settings,
                    progress=lambda n, bar=bar, task=task: bar.advance(task, n),  # type: ignore[misc]
                    tensorboard_log=tensorboard,
                    checkpoints=(
                        None
                        if checkpoint_every is None
                        else Checkpoints(out / f"{folder.name}-checkpoints", checkpoint_every)
                    ),
                    resume=resume,
                    trust=trust,
                    **arguments,
                )
            run = router.manifest
            ready = Game(environment_config(game, settings))
            constant = constant_model(play(router, ready, seed=seed), ready.spec.models)
            told.append(
                {
                    "folder": str(folder),
                    "steps": run.steps,
                    "seconds": run.seconds,
                    "problems": run.game.problems,
                    "accuracy": run.accuracy,
                    "cost": run.cost,
                    "cost_unit": cost_unit,
                    "limit_kept": run.limit_kept,
                    "constant": constant,
                }
            )
            asked = settings.total_timesteps
            rounded = "" if run.steps == asked else f" (of {asked:,} asked for: whole rollouts are played)"
            console.print(
                f"{escape(str(folder))}: {run.steps:,} steps{rounded} in {run.seconds:.1f} s "
                f"on {run.game.problems} problems"
            )
            if constant:
                console.print(
                    f"[yellow]warning:[/yellow] {escape(constant)} takes every decision at the threshold "
                    f"{router.threshold:g}, which is no routing: try another limit or penalty, or calibrate it",
                    highlight=False,
                    soft_wrap=True,
                )
            if run.limit_kept is not None:
                kept = "keeps" if run.limit_kept else "[red]does not keep[/red]"
                limited = run.arguments["limit"]
                console.print(
                    f"  on them accuracy {run.accuracy:.3f} at cost {run.cost:.3f}: {kept} the limit {limited:g}",
                    highlight=False,
                )
    if as_json:
        print(json.dumps(told, indent=1))


def _constraint(
    agent: str, constrained: bool, limit: float | None, constraint: str, penalty: float | None
) -> dict[str, Any]:
    """Arguments of the algorithm; the option that the agent has no use for is refused, not ignored."""
    if not constrained:
        if limit is not None:
            raise ValueError(f"--limit={limit} with --agent={agent}, which has no constraint; allowed: --penalty")
        return {}
    if penalty is not None:
        raise ValueError(f"--penalty={penalty} with --agent={agent}, which is constrained; allowed: --limit")
    if limit is None:
        raise ValueError(
            f"--limit is missing; --agent={agent} needs one: the highest mean cost, where always-largest costs 1, or "
            "with --constraint=accuracy_floor the lowest accuracy"
        )
    return {"limit": limit, "constraint": constraint}
