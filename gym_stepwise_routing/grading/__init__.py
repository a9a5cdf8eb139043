"""Grading of final answers: numeric for GSM8K, math-verify for MATH and Omni-MATH; one file a grader."""

from gym_stepwise_routing.grading.grader import GRADERS, Grade, GradeFunction, Grader, Grading

__all__ = ["GRADERS", "Grade", "GradeFunction", "Grader", "Grading"]
