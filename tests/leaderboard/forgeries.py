"""Ways to tamper with an entry. Content is what ``json.loads`` gives of an honest one."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from gym_stepwise_routing.leaderboard.encoding import decisions_from_text, decisions_to_text, pack, unpack
from gym_stepwise_routing.leaderboard.faults import FaultCode

Content = dict[str, Any]


def better_accuracy(entry: Content) -> None:
    entry["figures"]["accuracy"]["value"] += 0.02


def narrower_interval(entry: Content) -> None:
    entry["figures"]["units"]["flops"]["gain"]["low"] = entry["figures"]["units"]["flops"]["gain"]["value"]


def cheaper_tokens(entry: Content) -> None:
    largest = list(entry["runs"][0]["ledger"])[-1]
    entry["runs"][0]["ledger"][largest]["kept"] //= 2


def other_order(entry: Content) -> None:
    """The decisions on the problems in another order, or on other problems."""
    run = entry["runs"][0]
    shape = (len(run["sweep"]["thresholds"]), len(run["decisions"]), 5)
    run["decisions"] = run["decisions"][::-1]
    run["sweep"]["decisions"] = pack(unpack(run["sweep"]["decisions"], shape)[:, ::-1])


def ids_of_problems(entry: Content) -> None:
    """As entries had them before the hash of the split said which they are."""
    entry["problems"] = [f"gsm8k/train/{number}" for number in range(len(entry["runs"][0]["decisions"]))]


def split_hash(entry: Content) -> None:
    entry["played"]["split_sha256"] = "1" * 64


def dropped_problem(entry: Content) -> None:
    """The hardest problem left out, consistently."""
    run = entry["runs"][0]
    shape = (len(run["sweep"]["thresholds"]), len(run["decisions"]), 5)
    run["decisions"] = run["decisions"][1:]
    run["sweep"]["decisions"] = pack(unpack(run["sweep"]["decisions"], shape)[:, 1:])
    entry["figures"]["problems"] -= 1


def repeated_problem(entry: Content) -> None:
    entry["runs"][0]["decisions"].insert(0, entry["runs"][0]["decisions"][0])


def dropped_decisions(entry: Content) -> None:
    entry["runs"][0]["decisions"] = entry["runs"][0]["decisions"][1:]


def fewer_problems_stated(entry: Content) -> None:
    entry["figures"]["problems"] -= 1


def cut_trace(entry: Content) -> None:
    """The last decision of a trace left out: it would cost less."""
    entry["runs"][0]["decisions"][0] = entry["runs"][0]["decisions"][0][:-1]


def longer_trace(entry: Content) -> None:
    """A decision after the end of a trace."""
    short = min(range(len(entry["runs"][0]["decisions"])), key=lambda i: len(entry["runs"][0]["decisions"][i]))
    entry["runs"][0]["decisions"][short] += "1"


def model_from_nowhere(entry: Content) -> None:
    entry["runs"][0]["decisions"][0] = "2" + entry["runs"][0]["decisions"][0][1:]


def other_sweep(entry: Content) -> None:
    """Points of the sweep replaced by its first one."""
    sweep = entry["runs"][0]["sweep"]
    shape = (len(sweep["thresholds"]), len(entry["runs"][0]["decisions"]), 5)
    points = unpack(sweep["decisions"], shape)
    sweep["decisions"] = pack(np.broadcast_to(points[0], points.shape))


def other_bank(entry: Content) -> None:
    entry["played"]["source_sha256"] = "2" * 64


def other_prices(entry: Content) -> None:
    entry["played"]["prices_sha256"] = "3" * 64


def other_track(entry: Content) -> None:
    entry["played"]["track_fingerprint"] = "4" * 64


def unknown_track(entry: Content) -> None:
    entry["played"]["track"] = "my-own-track"


def self_made_reference(entry: Content) -> None:
    entry["kind"] = "reference"


def self_made_bound(entry: Content) -> None:
    entry["kind"] = "bound"


def threshold_without_rule(entry: Content) -> None:
    entry["selection"] = None


def doubled_run(entry: Content) -> None:
    """One router passed off as two trainings."""
    entry["runs"].append({**entry["runs"][0], "seed": 1})


def oracle_as_a_router(entry: Content) -> None:
    """The bound under another kind: it would be compared with itself."""
    entry["runs"][0]["router"] = {"factory": "gym_stepwise_routing.baselines:oracle", "kwargs": {}}


def name_of_a_row(entry: Content) -> None:
    """It would be taken for the board's own, and removed when that does not apply."""
    entry["name"] = "confidence-p-min"


def row_with_another_text(entry: Content) -> None:
    """Router and name of a row of the board, under a title of one's own."""
    entry["name"] = "always-largest"
    entry["kind"] = "reference"
    entry["runs"][0]["router"] = {"factory": "gym_stepwise_routing.baselines:AlwaysLargest", "kwargs": {}}


def decisions_of_one_under_two_routers(entry: Content) -> None:
    """Two trainings that decide alike everywhere are one."""
    other = {**entry["runs"][0]["router"], "kwargs": {"figure": "entropy_mean", "threshold": 0.4}}
    entry["runs"].append({**entry["runs"][0], "seed": 1, "router": other})


def block_twice(entry: Content) -> None:
    entry["played"]["view"]["observation"] = ["progress", "progress"]


def block_that_was_not_recorded(entry: Content) -> None:
    entry["played"]["view"]["observation"] = ["progress", "verifier"]


def made_in_the_future(entry: Content) -> None:
    entry["made"]["date"] = "9999-01-01"


def made_on_no_day(entry: Content) -> None:
    entry["made"]["date"] = "2025-02-30"


def more_than_the_sweep(entry: Content) -> None:
    """Something behind the packed decisions."""
    sweep = entry["runs"][0]["sweep"]
    sweep["decisions"] = base64.b64encode(base64.b64decode(sweep["decisions"]) + b"more").decode()


def threshold_off_the_sweep(entry: Content) -> None:
    entry["runs"][0]["threshold"] += 0.001


def threshold_of_another_point(entry: Content) -> None:
    """The decisions of one threshold, said to be those of another."""
    entry["runs"][0]["threshold"] = entry["runs"][0]["sweep"]["thresholds"][0]


def fitted_on_another_track(entry: Content) -> None:
    """The test problems of this track may be training problems of another bank."""
    kwargs = {"baseline": "heuristics:LengthRule", "track": "gsm8k-route", "observation": ["progress"]}
    entry["runs"][0]["router"] = {"factory": "gym_stepwise_routing.leaderboard.fitted:fitted", "kwargs": kwargs}


def weights_by_the_back_door(entry: Content) -> None:
    entry["runs"][0]["router"] = {
        "factory": "gym_stepwise_routing.leaderboard.fitted:fitted",
        "kwargs": {"baseline": "trim_agg:TrimAgg", "path": "leaderboard/artefacts/gsm8k-route.npz"},
    }


def factory_that_is_not_there(entry: Content) -> None:
    entry["runs"][0]["router"] = {"factory": "gym_stepwise_routing.baselines.nowhere:Router"}


def class_that_is_not_there(entry: Content) -> None:
    entry["runs"][0]["router"] = {"factory": "gym_stepwise_routing.baselines:Nobody"}


def five_hundred_thresholds(entry: Content) -> None:
    entry["runs"][0]["sweep"]["thresholds"] = [number / 1000 for number in range(500)]


def title_of_a_row(entry: Content) -> None:
    """It looks the same: the o is a Cyrillic one."""
    entry["about"]["title"] = "CCP\N{CYRILLIC CAPITAL LETTER O}-style  policy"


def invisible_title(entry: Content) -> None:
    entry["about"]["title"] = "\N{ZERO WIDTH SPACE}\N{HANGUL FILLER}"


def blank_title(entry: Content) -> None:
    entry["about"]["title"] = "\N{NO-BREAK SPACE} "


def description_written_backwards(entry: Content) -> None:
    entry["about"]["description"] = "It decides \N{RIGHT-TO-LEFT OVERRIDE}wohemos."


def hidden_field(entry: Content) -> None:
    entry["figures"]["note"] = "state of the art"


REJECTED_WITHOUT_THE_ROUTER: dict[Callable[[Content], None], tuple[FaultCode, str]] = {
    better_accuracy: ("figures", r"figures\.accuracy\.value=.*computed from the decisions"),
    narrower_interval: ("figures", r"figures\.units\.flops\.gain\.low="),
    cheaper_tokens: ("tokens", "1.5B-Instruct is stated .* recorded"),
    other_order: ("decisions", "but the recorded trace ends after"),
    ids_of_problems: ("schema", "problems.*not permitted"),
    split_hash: ("split", "made with split 1111"),
    dropped_problem: ("problems", "results on 111 problems; allowed: 112, all of the split in its order"),
    repeated_problem: ("problems", "results on 113 problems; allowed: 112"),
    dropped_decisions: ("problems", "results on 111 problems; allowed: 112"),
    fewer_problems_stated: ("problems", "results on 111 problems; allowed: 112"),
    cut_trace: ("decisions", "decisions, but the recorded trace ends after"),
    longer_trace: ("decisions", "but the recorded trace ends after|at most 5"),
    model_from_nowhere: ("decisions", "digits of 01"),
    other_sweep: ("figures", r"curve"),
    other_bank: ("bank", "made with bank 2222"),
    other_prices: ("prices", "made with prices 3333"),
    other_track: ("track", "made with track 4444"),
    unknown_track: ("track", "allowed: bank-regenerate"),
    self_made_reference: ("reference", "is for the rows in rows.json"),
    self_made_bound: ("reference", "is for the rows in rows.json"),
    threshold_without_rule: ("selection", "without a selection rule"),
    doubled_run: ("runs", "two runs have the same router"),
    hidden_field: ("schema", "note"),
    factory_that_is_not_there: ("artefact", "this package has no module gym_stepwise_routing.baselines.nowhere"),
    class_that_is_not_there: ("artefact", "this module has no Nobody"),
    five_hundred_thresholds: ("schema", "runs.0.sweep.thresholds.*at most 100 items"),
    title_of_a_row: ("title", "is that of 'ccpo', a row in rows.json; allowed: another one"),
    invisible_title: ("schema", r"about\.title.*U\+200B .ZERO WIDTH SPACE"),
    blank_title: ("schema", r"about\.title.*with a letter or a digit"),
    description_written_backwards: ("schema", r"about\.description.*U\+202E .RIGHT-TO-LEFT OVERRIDE"),
    weights_by_the_back_door: ("schema", "path='leaderboard/artefacts.*files are named by the artefact"),
    oracle_as_a_router: ("reference", "sees the answers"),
    name_of_a_row: ("reference", "'confidence-p-min' is a row in rows.json"),
    row_with_another_text: ("reference", "'always-largest' is a row in rows.json"),
    decisions_of_one_under_two_routers: ("runs", "two runs have the same decisions"),
    block_twice: ("view", "progress"),
    block_that_was_not_recorded: ("view", "verifier"),
    made_in_the_future: ("schema", "9999-01-01 is yet to come"),
    made_on_no_day: ("schema", "date"),
    more_than_the_sweep: ("decisions", "another number of decisions"),
    threshold_off_the_sweep: ("selection", "allowed: a threshold of the sweep"),
    threshold_of_another_point: ("selection", "the decisions are not those of its sweep"),
    fitted_on_another_track: ("provenance", "fitted on track 'gsm8k-route'; allowed: 'bank-regenerate'"),
}
"""What is forged, the code of the fault that it must give, and a part of the message."""


def flipped(texts: list[str], row: int) -> list[str]:
    """Decisions with another first model in one row."""
    decisions = decisions_from_text(texts, 5, 2)
    decisions[row, 0] = 1 - decisions[row, 0]
    return decisions_to_text(decisions)
