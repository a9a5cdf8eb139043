"""A track on a part of the bundled bank, and an honest entry on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bank_files import few_problems
from board_kit import ABOUT

from gym_stepwise_routing.leaderboard import entry_worker
from gym_stepwise_routing.leaderboard.entry import Entry, RouterRef, Selection
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.track import Track, TrackSpec, measure


@pytest.fixture(scope="session")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, bank = tmp_path_factory.mktemp("tracks"), few_problems(tmp_path_factory.mktemp("bank"))
    for mode in ("route", "regenerate"):
        spec = TrackSpec(
            name=f"bank-{mode}",
            title=mode,
            description="a part of the bundled bank",
            source=str(bank),
            split="test",
            mode=mode,
            cost_unit="large_tokens",
        )
        measure(spec).write(folder / f"bank-{mode}.json")
    spec = TrackSpec(
        name="sample",
        title="sample",
        description="a simulator",
        source="gsm8k-like",
        split="test",
        mode="route",
        cost_unit="flops",
        sample=60,
    )
    measure(spec).write(folder / "sample.json")
    return folder


@pytest.fixture(scope="session")
def track(tracks: Path) -> Track:
    return Track.read(tracks / "bank-regenerate.json")


@pytest.fixture(scope="session")
def sample_track(tracks: Path) -> Track:
    return Track.read(tracks / "sample.json")


@pytest.fixture
def fresh_worker() -> Iterator[None]:
    """The process that checks entries is started in the test, and ended with it."""
    entry_worker.end_worker()
    yield
    entry_worker.end_worker()


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    folder = tmp_path / "artefacts"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def honest(track: Track, tmp_path_factory: pytest.TempPathFactory) -> Entry:
    """A swept router with a threshold that the board chose."""
    ref = RouterRef(
        factory="gym_stepwise_routing.baselines:ConfidenceThreshold",
        kwargs={"figure": "entropy_mean", "threshold": 0.5},
    )
    selection = Selection(rule="budget", value=0.7)
    return make_entry(track, "honest", [ref], ABOUT, artefacts=tmp_path_factory.mktemp("none"), selection=selection)
