"""
Read a leaderboard, submit to it
================================

Needs a clone, with ``pip install -e '.[agents,leaderboard]'``.

What a track is, what its rows mean, and how an entry of your own is made and verified.
"""

# %%
# Tracks
# ------
#
# A track fixes everything that a comparison needs: bank, split, mode, cost unit, and what a cost of 1 means.

from gym_stepwise_routing.errors import need_extras

need_extras("agents", "leaderboard")

from gym_stepwise_routing.leaderboard.track import open_track, track_names

for name in track_names():
    print(f"{name:28} {open_track(name).spec.title}")

# %%
# Rows
# ----
#
# A row is a router's result on a track. Its **gain** is its accuracy minus that of mixing the constant models at the
# same cost. A row whose interval lies above zero has learned something.

from pathlib import Path

from gym_stepwise_routing.leaderboard.entry_files import files_of, read_entries
from gym_stepwise_routing.leaderboard.track import TRACKS

track = open_track("gsm8k-escalate")
unit = track.spec.cost_unit
entries = [entry for file in files_of(TRACKS.parent / "entries", track.name) for entry in read_entries(file)]
gains = {entry.name: entry.figures.units[unit].gain for entry in entries if entry.kind == "router"}
best = sorted(gains, key=lambda name: -gains[name].value)
for name in best[:5]:
    gain = gains[name]
    print(f"{name:28} gain {100 * gain.value:5.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}] points")

# %%
# A router of yours
# -----------------
#
# An entry names a router, plays it on the track, and keeps its decisions. On the command line this is
# ``stepwise-routing submit``. Ours learns from the recorded trees of the train split. Its threshold is chosen on the
# calibration split: the most accurate one within 80 % of always-largest's cost there.

from gym_stepwise_routing.leaderboard.entry import About, Selection
from gym_stepwise_routing.leaderboard.loading import reference_of
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.types import DEFAULT_BLOCKS

here = Path(".").resolve()
settings = {
    "baseline": "fitted_q:FittedQ",
    "track": track.name,
    "observation": list(DEFAULT_BLOCKS),
    "price": 0.7,
    "seed": 7,
}
router = reference_of("gym_stepwise_routing.leaderboard.fitted:fitted", settings, here)
about = About(title="Mine", authors="Ada Example", description="Fitted Q at a lower price of cost.")
mine = make_entry(track, "mine", [router], about, artefacts=here, selection=Selection(rule="budget", value=0.8))
gain = mine.figures.units[unit].gain
print(f"mine: gain {100 * gain.value:.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}] points")

# %%
# ``stepwise-routing verify FILE`` does what the board will do: it plays the decisions again, computes every figure,
# and runs the router on reordered and slightly shaken observations. Then a pull request with the file is all that is
# needed.
#
# The picture
# -----------

import matplotlib.pyplot as plt

shown = {**{name: gains[name] for name in best[:12]}, "mine": gain}
names = sorted(shown, key=lambda name: shown[name].value)
figure, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
for row, name in enumerate(names):
    colour = "#d55e00" if name == "mine" else "#0072b2"
    axes.plot([100 * shown[name].low, 100 * shown[name].high], [row, row], color=colour, lw=2)
    axes.plot(100 * shown[name].value, row, "o", color=colour)
axes.axvline(0, color="grey", ls="--")
axes.set_yticks(range(len(names)), names)
axes.set(xlabel=f"points above mixing at the same cost, 95 % interval ({unit})", title=track.spec.title)
plt.show()
