"""Pages of agents say that their results are simulated: in the figure, too (title and data: tests/report)."""

from __future__ import annotations

import pytest


def test_the_guarantee_study_labels_its_figure(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    guarantee = pytest.importorskip("studies.agents.guarantee")
    drawn = []
    monkeypatch.setattr(guarantee, "save_figure", lambda figure, path: drawn.append(figure.get_suptitle()))
    for simulated in (True, False):
        guarantee._draw([], tmp_path / "x.png", 0.1, simulated=simulated)
    assert drawn == ["SIMULATED", ""]
