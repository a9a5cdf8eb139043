"""Routers that look at more than their observations."""

from __future__ import annotations

import numpy as np

from gym_stepwise_routing.baselines import AlwaysSmallest, ConfidenceThreshold, oracle_paths
from gym_stepwise_routing.leaderboard.playing import play_on
from gym_stepwise_routing.leaderboard.track import game_of
from gym_stepwise_routing.routers.base import Replay, Router, ScoringRouter, columns_of


class ByPosition(Router):
    """Knows which place in the batch is worth the larger model."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return (np.arange(len(observation)) % 3 == 0).astype(np.int64), state


class ByComparison(Router):
    """Spends on the longest questions of the batch: it depends on which others are there."""

    def bind(self, spec):
        super().bind(spec)
        (self.column,) = columns_of(spec, "question_tokens")

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        length = observation[:, self.column]
        return (length > np.median(length)).astype(np.int64), state


class ByCounting(Router):
    """Counts its own calls and decides by their number, whatever it sees."""

    calls = 0

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        ByCounting.calls += 1
        return np.full(len(observation), ByCounting.calls % 2, dtype=np.int64), state


class ByOneFigure(ScoringRouter):
    """Honest: one column of the observation is its score."""

    def __init__(self, figure, threshold):
        super().__init__(threshold)
        self.figure = figure

    def bind(self, spec):
        super().bind(spec)
        (self.column,) = columns_of(spec, self.figure)

    def scores(self, observation):
        return np.clip(observation[:, self.column], 0, 1)


class InPlace(ByOneFigure):
    """Honest, and careless with what it is given."""

    def scores(self, observation):
        observation *= 0.5
        return super().scores(observation)


class ByTable(Router):
    """Has the oracle's answer to every observation that it has seen on the test split."""

    def __init__(self, track):
        self.track = track
        self.answers = None

    def bind(self, spec):
        super().bind(spec)
        if self.answers is None:
            self.answers = {}
            game = game_of(self.track)
            decisions = oracle_paths(game).decisions
            table, row = game.table, game.table.roots.astype(np.int64)
            for step in range(decisions.shape[1]):
                for i in np.flatnonzero(decisions[:, step] >= 0):
                    self.answers[table.observation[row[i]].tobytes()] = decisions[i, step]
                    row[i] = table.child[row[i], decisions[i, step]]

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.array([self.answers.get(row.tobytes(), 1) for row in observation], dtype=np.int64), state


class ByRoundedTable(ByTable):
    """A table whose keys the last bit does not change."""

    def bind(self, spec):
        first = self.answers is None
        super().bind(spec)
        if first:
            keys = [self.key(np.frombuffer(key, dtype=np.float32)) for key in self.answers]
            self.answers = dict(zip(keys, self.answers.values(), strict=True))

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.array([self.answers.get(self.key(row), 1) for row in observation], dtype=np.int64), state

    @staticmethod
    def key(row):
        return np.round(row.astype(np.float64) + 1.3e-5, 4).tobytes()


class ByName(Router):
    """Walks up the stack to the game, and looks the problems up by their ids."""

    def __init__(self, track):
        game = game_of(track)
        self.decisions = dict(
            zip(game.source.problem_ids(game.problems), oracle_paths(game).decisions.tolist(), strict=True)
        )

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        import inspect

        frame = next(f.frame for f in inspect.stack() if "game" in f.frame.f_locals)
        game = frame.f_locals["game"]
        ids = game.source.problem_ids(game.problems)
        step = 0 if state is None else state
        none = [1] * game.source.horizon
        return np.array([max(self.decisions.get(i, none)[step], 0) for i in ids], dtype=np.int64), step + 1


class Remembering(Router):
    """Honest, though it keeps its state itself: the larger model at every second step."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        if episode_start is not None and episode_start.all():
            self.step = np.zeros(len(observation), dtype=np.int64)
        self.step = self.step + 1
        return self.step % 2, state


class Masked(ConfidenceThreshold):
    """Honest, and asks for masks as MaskablePPO does."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True, action_masks=None):
        actions, state = super().predict(observation, state)
        return np.where(action_masks[np.arange(len(actions)), actions], actions, action_masks.argmax(axis=1)), state


def replayed(track):
    """The oracle's decisions as a router."""
    return Replay(oracle_paths(game_of(track)).decisions)


class ScoresByPosition(ScoringRouter):
    """Decides honestly, but the scores that a sweep asks for follow the places of the oracle's problems.

    ``hidden`` is how far apart the scores of two places are.
    """

    def __init__(self, track, hidden):
        super().__init__(0.5)
        self.wanted = (oracle_paths(game_of(track)).decisions == 1).any(axis=1)
        self.hidden = hidden

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros(len(observation), dtype=np.int64), state

    def scores(self, observation):
        scores = np.full(len(observation), 0.5)
        if len(observation) == len(self.wanted):
            scores[~self.wanted] -= 0.4 * self.hidden
        return scores


class ScoresByTable(ScoringRouter):
    """Decides honestly, but its scores come from the table of the oracle's answers."""

    def __init__(self, track, table=ByTable):
        super().__init__(0.5)
        self.table = table(track)

    def bind(self, spec):
        super().bind(spec)
        self.table.bind(spec)

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros(len(observation), dtype=np.int64), state

    def scores(self, observation):
        return np.where(self.table.predict(observation)[0] == 1, 0.9, 0.1)


class SmallTable(ByTable):
    """Knows the answer to the first observation of five problems that the larger model alone gets right."""

    def __init__(self, track):
        super().__init__(track)
        game = game_of(track)
        paths = oracle_paths(game)
        small = play_on(track, AlwaysSmallest(), game)
        rows = np.flatnonzero((paths.decisions == 1).any(axis=1) & ~small.right)[:5]
        self.answers = {}
        table, row = game.table, game.table.roots.astype(np.int64)
        for i in rows:
            at = row[i]
            for action in paths.decisions[i]:
                if action >= 0:
                    self.answers[table.observation[at].tobytes()] = action
                    at = table.child[at, action]

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.array([self.answers.get(row.tobytes(), 0) for row in observation], dtype=np.int64), state


class Uncopied(Router):
    """Refuses to be copied, and decides by how many of its kind were made."""

    made = 0

    def __init__(self):
        Uncopied.made += 1
        self.number = Uncopied.made

    def __deepcopy__(self, memo):
        raise TypeError("no")

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.full(len(observation), self.number % 2, dtype=np.int64), state
