"""``report``: a page on the decision log; rotated, torn, broken and empty logs."""

from __future__ import annotations

import copy
import json
import resource

import numpy as np
import pytest
from logged import QUESTIONS, Lines, ask, events, put_lines, read_lines, write_log
from running_server import BANK, MODELS
from scipy import stats
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_mean
from gym_stepwise_routing.serving.decision_log import DecisionLog
from gym_stepwise_routing.serving.log_reading import LogReader
from gym_stepwise_routing.serving.log_report import report_on
from gym_stepwise_routing.serving.pool_config import LogConfig


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Ten answers and one request without: thresholds of their own, feedback, a broken endpoint, a budget."""

    def use(server, endpoints):
        for number in range(4):
            ask(server, QUESTIONS[number % 2], right=number > 0)
        endpoints[1].break_after = 0
        ask(server, QUESTIONS[0], threshold=0.0)
        endpoints[1].break_after = None
        for _ in range(15):
            ask(server, QUESTIONS[1])
        ask(server, QUESTIONS[0], budget=0.01, hard_budget=True)

    lines = write_log(tmp_path_factory.mktemp("served"), use, feedback={"target": "accuracy=0.7", "step": 0.1})
    assert [line["event"] for line in lines].count("request") == 21
    return lines


def later(lines: Lines, days: int) -> Lines:
    """The same on another day, under other ids."""
    lines = copy.deepcopy(lines)
    for line in lines:
        line["time"] = f"2026-12-{days:02}T" + line["time"].partition("T")[2]
        if line["event"] in ("request", "feedback"):
            line["id"] += f"-{days}"
    return lines


def test_the_figures_are_those_of_the_requests(lines, tmp_path):
    report = report_on(put_lines(tmp_path / "log.jsonl", [*later(lines, 1), *later(lines, 2)]))
    plain, *others = report.groups
    assert [group.routed for group in report.groups] == ["as configured", "threshold of its own", "budget of its own"]
    asked = [line for line in events(lines) if not line["own"]]
    costs = np.array([line["cost"]["normalised"] for line in asked] * 2)
    assert plain.outcomes == {"answered": 38}
    assert plain.costs.cost == pytest.approx(costs.mean())
    expected = bootstrap_mean(1 - costs)
    assert (plain.costs.interval.low, plain.costs.interval.high) == (expected.low, expected.high)
    assert plain.costs.interval.n == 38
    raw = asked[0]["always_largest"]["raw"]
    assert plain.costs.saved == pytest.approx(38 * raw - costs.sum() * raw)
    assert {day: costs.n for day, costs in plain.days.items()} == {"2026-12-01": 19, "2026-12-02": 19}
    assert plain.always_largest == f"mean of always-largest on calibration of {BANK}"
    steps = [step["model"] for line in asked for step in line["steps"]]
    assert [model.model for model in plain.models] == list(MODELS)
    for model in plain.models:
        assert model.steps == 2 * steps.count(model.model)
        assert model.ledger["kept"] == 2 * sum(line["ledger"][model.model]["kept"] for line in asked)
    seconds = [line["seconds"] for line in asked] * 2
    assert (plain.seconds.n, plain.seconds.p95) == (38, pytest.approx(np.quantile(seconds, 0.95)))
    limits = stats.binomtest(6, 8).proportion_ci(0.95, method="exact")
    assert (plain.right.count, plain.right.n, plain.right.low) == (6, 8, pytest.approx(limits.low))
    assert plain.largest_right is None
    assert plain.thresholds[0] == 0.5
    assert len({line["threshold"] for line in asked}) > 1, "it follows feedback"
    broken = others[0]
    assert sum(failure.count for failure in broken.failures) == 2 * len(events(lines)[4]["failures"]) > 0
    assert {(failure.model, failure.reason) for failure in broken.failures} == {
        (failure["model"], failure["reason"]) for failure in events(lines)[4]["failures"]
    }
    assert broken.models[0].instead == 2 * len(events(lines)[4]["steps"])
    assert (report.drift_windows, len(report.drift_alarms)) == (0, 0)


def test_rotated_files_are_read_oldest_first(lines, tmp_path):
    whole = report_on(put_lines(tmp_path / "whole.jsonl", lines))
    server, rest = lines[0], lines[1:]
    put_lines(tmp_path / "log.jsonl.10", [server, *rest[:5]])
    put_lines(tmp_path / "log.jsonl.2", [server, *rest[5:9]])
    put_lines(tmp_path / "log.jsonl.bak", [server, *rest])
    put_lines(tmp_path / "log.jsonl", [server, *rest[9:]])
    parts = report_on(tmp_path / "log.jsonl")
    assert [file.rpartition("/")[2] for file in parts.files] == ["log.jsonl.10", "log.jsonl.2", "log.jsonl"]
    assert parts.groups == whole.groups
    (tmp_path / "log.jsonl").unlink()
    assert report_on(tmp_path / "log.jsonl").requests < whole.requests, "rotated files alone are a log"


def test_half_a_line_of_a_killed_process_is_counted(lines, tmp_path):
    path = put_lines(tmp_path / "log.jsonl", lines[:4])
    half = (json.dumps(lines[4], ensure_ascii=False) + "é").encode()[:-1]
    with path.open("ab") as file:
        file.write(half[:200])
    log = LogReader(path)
    assert len(list(log)) == 4
    assert log.torn == [f"{path}: line 5"]
    again = DecisionLog(LogConfig(path=path, sync_seconds=0.01), lines[0])  # the next process
    again.put(lines[4])
    again.close()
    assert [record.event for record in log] == [line["event"] for line in (*lines[:4], lines[0], lines[4])]
    assert log.torn == [f"{path}: line 5"]
    assert report_on(path).torn == (f"{path}: line 5",)


def test_a_process_that_is_killed_in_its_first_line_is_passed_over_too(lines, tmp_path):
    path = put_lines(tmp_path / "log.jsonl", lines[:3])
    first = json.dumps(lines[0]).encode()
    whole = path.read_bytes()
    for cut in (1, 20, 40, 100):
        path.write_bytes(whole + b'{"versi\n' + first[:cut] + b"\n" + first)
        log = LogReader(path)
        assert [record.event for record in log] == [line["event"] for line in (*lines[:3], lines[0])]
        assert log.torn == [f"{path}: line 4", f"{path}: line 5"]


def test_a_second_server_on_a_log_is_told_and_the_first_goes_on(lines, tmp_path):
    config = LogConfig(path=tmp_path / "logs" / "log.jsonl", sync_seconds=0.01)
    log = DecisionLog(config, lines[0])
    with pytest.raises(ValueError, match=r"log\.jsonl: another process is writing it; allowed: one at a time"):
        DecisionLog(config, lines[0])
    log.put(lines[1])
    log.close()
    DecisionLog(config, lines[0]).close()
    assert [line["event"] for line in read_lines(config.path)] == ["server", lines[1]["event"], "server"]
    assert [file.name for file in config.path.parent.iterdir()] == ["log.jsonl"]


def test_what_a_full_disk_took_of_a_line_is_taken_back(lines, tmp_path):
    config = LogConfig(path=tmp_path / "log.jsonl", sync_seconds=0.01)
    log = DecisionLog(config, lines[0])
    size = config.path.stat().st_size
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, usual[1]))
    try:
        log._write([lines[1]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (log.lost, config.path.stat().st_size) == (1, size)
    log._write([lines[1]])
    log.close()
    assert (log.lost, len(read_lines(config.path))) == (1, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{half\n", "not JSON"),
        (b"[]\n", "allowed: an object"),
        (b'{"event": "request"}\n', "version is None; allowed: 1"),
        (b'{"version": 2, "event": "request"}\n', "version is 2; allowed: 1"),
        (b'{"version": 1, "event": "gossip"}\n', "event='gossip' is not known; allowed: 'server', 'request'"),
        (b'{"version": 1, "event": "feedback", "time": "2026-12-01"}\n', "key 'id' is missing"),
        (b'{"version": 1, "event": "drift", "time": "noon"}\n', "key"),
        (b"\xff\n", "not JSON"),
    ],
)
def test_any_other_broken_line_is_an_error_with_file_and_line(lines, line, message, tmp_path):
    path = put_lines(tmp_path / "log.jsonl", lines[:3])
    for rest in (json.dumps(lines[3]).encode(), b""):  # in the middle, and last but whole
        path.write_bytes(
            put_lines(path, lines[:3]).read_bytes() + line + b"".join(json.dumps(r).encode() for r in rest[:1])
        )
        with pytest.raises(ValueError, match="line 4") as told:
            list(LogReader(path))
        assert str(told.value).startswith(f"{path}: line 4: ")
        assert message in str(told.value)


def test_a_wrong_key_is_named(lines, tmp_path):
    wrong = copy.deepcopy(lines)
    events(wrong)[0]["steps"][0]["tokens"] = "many"
    with pytest.raises(ValueError, match=r"line 2: key 'steps\[0\].tokens' is 'many'; allowed: an integer"):
        report_on(put_lines(tmp_path / "log.jsonl", wrong))


@pytest.mark.parametrize("content", [None, "", "server"])
def test_no_log_and_an_empty_one_are_told_in_one_sentence(lines, content, tmp_path):
    path = tmp_path / "log.jsonl"
    if content is not None:
        put_lines(path, lines[:1] if content else [])
    result = CliRunner().invoke(app, ["report", str(path), "--out", str(tmp_path / "page")])
    assert result.exit_code == 2
    assert ("no such log" if content is None else "no request is in it") in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "page").exists()


def test_several_routers_in_one_log_are_groups(lines, tmp_path):
    other = later(lines, 3)
    for line in events(other):
        line.update(router="always-largest", mode="escalate", threshold=None)
    report = report_on(put_lines(tmp_path / "log.jsonl", [*lines, *other]))
    names = [(group.router, group.routed) for group in report.groups]
    assert names[:2] == [("confidence-p_min", "as configured"), ("always-largest", "as configured")]
    assert len(set(names)) == len(names) == 6


@pytest.mark.parametrize(("writer", "saving"), [(1, 0.0), (0, None)])
def test_where_the_largest_model_wrote_everything_nothing_was_saved(lines, writer, saving, tmp_path):
    lines = copy.deepcopy(lines)
    for line in events(lines):
        line["ledger"][MODELS[writer]]["kept"] += 1
        other = line["ledger"][MODELS[1 - writer]]
        other.update(dict.fromkeys(other, 0), calls=1, prefill=9)  # it only counted the prompt
        for step in line["steps"]:
            step.update(model=MODELS[writer], chosen=MODELS[writer])
    plain = report_on(put_lines(tmp_path / "log.jsonl", lines)).groups[0]
    assert plain.costs.largest_alone is (writer == 1)
    assert plain.costs.saving == (saving if writer == 1 else pytest.approx(1 - plain.costs.cost))
    assert (plain.costs.interval is None) is (writer == 1)
    result = CliRunner().invoke(app, ["report", str(tmp_path / "log.jsonl"), "--out", str(tmp_path / "page")])
    assert ("exact: the largest model wrote all of it" in result.stdout) is (writer == 1)


def test_the_page_has_everything_and_says_estimated(lines, tmp_path):
    drift = {"version": 1, "event": "drift", "time": "2026-12-01T00:00:00+00:00", "window": 1, "alarm": True}
    drift |= {"p_value": 0.001, "feature": "depth", "message": "they do not look like them & <differ>"}
    log = put_lines(tmp_path / "log.jsonl", [*lines, drift, {**drift, "window": 2, "alarm": False, "message": ""}])
    result = CliRunner().invoke(app, ["report", str(log), "--out", str(tmp_path / "page"), "--resamples", "200"])
    assert result.exit_code == 0, result.output
    assert "saving against always-largest, estimated" in result.stdout
    page = (tmp_path / "page" / "report.html").read_text()
    for said in ("Saving a day (estimated)", "Feedback", "Drift alarms", "Thresholds", "did not deliver", "report.png"):
        assert said in page
    assert "&lt;differ&gt;" in page
    assert "an alarm in 1 of 2 windows" in page
    assert (tmp_path / "page" / "report.png").read_bytes()[:4] == b"\x89PNG"
    assert "| " in (tmp_path / "page" / "report.md").read_text()
    printed = CliRunner().invoke(app, ["report", str(log), "--out", str(tmp_path / "page"), "--json"])
    told = json.loads(printed.stdout)
    written = json.loads((tmp_path / "page" / "report.json").read_text())
    assert told == written["results"]
    assert told["groups"][0]["costs"]["n"] == 19


def test_feedback_on_answers_of_another_log_is_counted(lines, tmp_path):
    said = [{**line, "id": "elsewhere"} for line in events(lines, "feedback")[:1]]
    report = report_on(put_lines(tmp_path / "log.jsonl", [*lines, *said]))
    assert (report.feedback, report.feedback_elsewhere) == (5, 1)
    assert read_lines(tmp_path / "log.jsonl")[-1]["threshold"] is not None
