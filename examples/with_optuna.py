"""A search of hyperparameters by Optuna, on problems that are cut from the train split: test problems choose nothing.

``python examples/with_optuna.py --steps 8192 --trials 12 --final-steps 50000``
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import optuna
import torch

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, hyperparameters, train
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.subset import hold_out

PENALTY = 0.42
FOLDS = 3


def settings_of(trial: optuna.trial.BaseTrial, steps: int) -> Hyperparameters:
    """The shipped settings of MaskablePPO, with what is searched."""
    shipped = hyperparameters("maskable_ppo")
    searched = {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1e-4, 1e-1, log=True),
        "policy_kwargs": {"net_arch": [trial.suggest_categorical("units", [8, 16, 64])]},
    }
    algorithm = {**shipped.algorithm, "n_steps": 16, "batch_size": 256, **searched}
    return replace(shipped, n_envs=64, total_timesteps=steps, penalty=PENALTY, algorithm=algorithm)


def trained(settings: Hyperparameters, game: GameConfig, seed: int) -> PolicyNetwork:
    """The router of one training."""
    return scored(train("maskable_ppo", seed=seed, game=game, settings=settings), name="optuna-maskable-ppo")


def main() -> None:
    """Search, train with the best on the whole train split, and evaluate on the test split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="of each training of the search")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--final-steps", type=int, help="of the training with the best; default: as in the search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", default="regenerate", help="escalate masks smaller models than the last")
    args = parser.parse_args()
    torch.set_num_threads(1)
    game = GameConfig(mode=args.mode, cost_unit="large_tokens")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def gain(trial: optuna.Trial) -> float:
        """Mean return on the held-out parts."""
        total = 0.0
        for fold in range(FOLDS):
            part = hold_out(BankSource(DEFAULT_BANK), 0.3, seed=fold)  # "calibration" is what is held out
            router = trained(settings_of(trial, args.steps), replace(game, source=part), args.seed)
            played = evaluate(router, replace(game, source=part), "calibration")
            total += played.accuracy - PENALTY * played.mean_cost
        return total / FOLDS

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=args.seed))
    study.optimize(gain, n_trials=args.trials)
    print(f"validation return {study.best_value:.3f} with {study.best_params}")
    steps = args.steps if args.final_steps is None else args.final_steps
    router = trained(settings_of(optuna.trial.FixedTrial(study.best_params), steps), game, args.seed)
    played = evaluate(router, game, "test")
    gained = played.accuracy - PENALTY * played.mean_cost
    print(f"{router.name}: accuracy {played.accuracy:.3f} cost {played.mean_cost:.3f} return {gained:.3f}")


if __name__ == "__main__":
    main()
