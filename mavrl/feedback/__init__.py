"""The kinds of feedback, one file each."""

from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.feedback.rating import RatingLikelihood
from mavrl.feedback.stop import StopLikelihood

__all__ = [
    "DemonstrationLikelihood",
    "FeedbackLikelihood",
    "PreferenceLikelihood",
    "RatingLikelihood",
    "StopLikelihood",
]
