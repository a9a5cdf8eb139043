#!/usr/bin/env bash
# Minari 0.5.4: an info that is a NumPy array of shape () can be collected in both formats, and made a data set in one.
# Expected: collected for HDF5 and for Arrow alike, it comes back from both as one value a step.
# Seen: HDF5 gives the values back; for Arrow every step is taken without a word, and create_dataset fails when all is
# collected: ValueError, since the empty shape is read as a number. A NumPy scalar, np.uint8(1) for np.array(1), comes
# back from both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
  minari==0.5.4 gymnasium==1.4.0 numpy==2.4.6 jax==0.10.2 h5py==3.16.0 pyarrow==26.0.1 pillow==11.3.0
MINARI_DATASETS_PATH="$folder/data" "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import gymnasium as gym
import minari
import numpy as np


class Countdown(gym.Wrapper):
    """CartPole with one more figure in its infos."""

    def __init__(self, env, figure):
        super().__init__(env)
        self.figure = figure

    def reset(self, **options):
        observation, _ = self.env.reset(**options)
        return observation, {"figure": self.figure(0)}

    def step(self, action):
        *result, _ = self.env.step(action)
        return (*result, {"figure": self.figure(1)})


def back(name, figure, data_format):
    env = minari.DataCollector(Countdown(gym.make("CartPole-v1"), figure), record_infos=True, data_format=data_format)
    env.reset(seed=0)
    ended = False
    while not ended:
        _, _, terminated, truncated, _ = env.step(0)
        ended = terminated or truncated
    try:
        env.create_dataset(f"{name}{data_format}-v0")
        (episode,) = minari.load_dataset(f"{name}{data_format}-v0").iterate_episodes()
        return np.asarray(episode.infos["figure"]).tolist()[:3]
    except ValueError as error:
        return f"ValueError: {error}"


seen = {
    (name, data_format): back(name, figure, data_format)
    for name, figure in (("array", lambda x: np.array(x, np.uint8)), ("scalar", np.uint8))
    for data_format in ("hdf5", "arrow")
}
for case, value in seen.items():
    print(*case, value, sep=": ")
read = {case: value == [0, 1, 1] for case, value in seen.items()}
same = read == {case: case != ("array", "arrow") for case in seen} and "ValueError" in seen["array", "arrow"]
sys.exit(0 if same else "Minari's behaviour has changed")
PYTHON
