"""Threshold calibration: which thresholds may be promised, and one that adapts while in use."""

try:
    import scipy as _scipy  # noqa: F401
except ImportError as error:
    raise ImportError("threshold calibration needs scipy: pip install 'gym-stepwise-routing[agents]'") from error

from gym_stepwise_routing.calibration.adaptive import AdaptiveRouter
from gym_stepwise_routing.calibration.calibrate import calibrate
from gym_stepwise_routing.calibration.certificate import CalibratedRouter, Certificate
from gym_stepwise_routing.calibration.storage import load_calibrated, save_calibrated
from gym_stepwise_routing.calibration.targets import Accuracy, CostLimit, RelativeAccuracy, Target
from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold
from gym_stepwise_routing.evaluation.p_values import (
    METHODS,
    Method,
    certifiable_errors,
    exact_p_value,
    hoeffding_bentkus_p_value,
    p_value,
    required_n,
)
from gym_stepwise_routing.evaluation.risk_control import (
    CannotCertify,
    Certified,
    Risk,
    certify,
    control_expectation,
    fixed_sequence,
)

__all__ = [
    "METHODS",
    "Accuracy",
    "AdaptiveRouter",
    "CalibratedRouter",
    "CannotCertify",
    "Certificate",
    "Certified",
    "CostLimit",
    "Method",
    "OnlineThreshold",
    "RelativeAccuracy",
    "Risk",
    "Target",
    "calibrate",
    "certifiable_errors",
    "certify",
    "control_expectation",
    "exact_p_value",
    "fixed_sequence",
    "hoeffding_bentkus_p_value",
    "load_calibrated",
    "p_value",
    "required_n",
    "save_calibrated",
]
