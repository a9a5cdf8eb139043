"""Maps the top-level folders ``agents``, ``baselines`` and ``leaderboard`` into the ``gym_stepwise_routing`` package.

Everything else is in pyproject.toml; only the discovery of sub-packages under a mapped folder needs code.
"""

from setuptools import find_packages, setup

FOLDERS = ("agents", "baselines", "leaderboard")
PACKAGE = "gym_stepwise_routing"

setup(
    package_dir={PACKAGE: PACKAGE, **{f"{PACKAGE}.{folder}": folder for folder in FOLDERS}},
    packages=[
        PACKAGE,
        *(f"{PACKAGE}.{name}" for name in find_packages(PACKAGE)),
        *(f"{PACKAGE}.{folder}" for folder in FOLDERS),
        *(f"{PACKAGE}.{folder}.{name}" for folder in FOLDERS for name in find_packages(folder)),
    ],
)
