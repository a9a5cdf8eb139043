"""Pages of agents say that their results are simulated: in title, data and figure."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize("simulated", [True, False])
def test_title_data_and_figure_say_simulated(simulated, tmp_path):
    pytest.importorskip("torch")
    tables = pytest.importorskip("studies.agents.study_tables")
    page = tables.Page(
        title="Is it kept?",
        command="python -m x",
        setting=("one",),
        tables=(),
        findings=(),
        figure="x.png",
        numbers=[],
        simulated=simulated,
    )
    tables.write_page(page, tmp_path, "x")
    label = "SIMULATED: " if simulated else ""
    text = (tmp_path / "x.md").read_text()
    assert text.startswith(f"# {label}Is it kept?\n")
    assert f"![{label}Is it kept?](x.png)" in text
    assert json.loads((tmp_path / "x.json").read_text())["simulated"] is simulated
    figure, panels = tables.new_figure(2, simulated=simulated)
    assert len(panels) == 2
    assert figure.get_suptitle() == ("SIMULATED" if simulated else "")


def test_the_guarantee_study_labels_its_figure(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    guarantee = pytest.importorskip("studies.agents.guarantee")
    drawn = []
    monkeypatch.setattr(guarantee, "save_figure", lambda figure, path: drawn.append(figure.get_suptitle()))
    for simulated in (True, False):
        guarantee._draw([], tmp_path / "x.png", 0.1, simulated=simulated)
    assert drawn == ["SIMULATED", ""]
