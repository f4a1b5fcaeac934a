"""Query rules: which candidates are asked about. One file is one rule."""

from mavrl.feedback.queries.base import Candidates, Query, most_worth
from mavrl.feedback.queries.disagreement import DisagreementQuery
from mavrl.feedback.queries.information_gain import InformationGainQuery
from mavrl.feedback.queries.random import RandomQuery

__all__ = ["Candidates", "DisagreementQuery", "InformationGainQuery", "Query", "RandomQuery", "most_worth"]
