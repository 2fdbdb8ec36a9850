"""Diagnoses with an outcome and causes by name, for the tests of alerts."""

from graddiag.analysis import Advice, Diagnosis, Finding, Outcome, Source, Thresholds
from graddiag.analysis.diagnosis.diagnose import Basis, diagnosis
from graddiag.analysis.diagnosis.timeline import timeline_of

SOURCE = Source("made", None, None, None)


def diagnosis_with(outcome: str, *causes: str) -> Diagnosis:
    """A diagnosis with that outcome and these causes."""
    found = [_cause(name) for name in causes] or [Finding("healthy", "info", "Nothing.", (), "", (), (), None, None)]
    judged = Outcome(SOURCE, outcome, None, None, f"The sentence of {outcome}.")
    return diagnosis(SOURCE, judged, found, (), timeline_of(SOURCE, []), Basis(10, 10, 1), Thresholds())


def _cause(name: str) -> Finding:
    advice = Advice(f"Do something about {name}.", "", name)
    return Finding(name, "severe", f"The evidence of {name}.", (), "", (advice,), (), 3, "strong")
