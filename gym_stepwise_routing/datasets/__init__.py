"""Problems of known datasets, and any JSON Lines file with questions and answers."""

from gym_stepwise_routing.datasets.catalogue import DATASETS, DatasetSpec
from gym_stepwise_routing.datasets.load import line_of_row, load_file, load_problems, load_questions
from gym_stepwise_routing.datasets.problem import Problem, ProgramTests, question_sha256

__all__ = [
    "DATASETS",
    "DatasetSpec",
    "Problem",
    "ProgramTests",
    "line_of_row",
    "load_file",
    "load_problems",
    "load_questions",
    "question_sha256",
]
