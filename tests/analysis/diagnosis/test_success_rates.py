"""Success rates of advice, against the tables of docs/presets/remedies.md, and the order of the advice by them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from graddiag import schema
from graddiag.analysis.diagnosis.findings import Advice
from graddiag.analysis.diagnosis.success_rates import EXPLODING, PAGE, VANISHING, SuccessRate, with_rates
from tests.analysis.diagnosis.test_causes import gates, only, stuck
from tests.analysis.diagnosis.trainings import S

TEXT = (Path(__file__).parents[3] / PAGE).read_text(encoding="utf-8")


def table(task: str) -> dict[str, tuple[int, int]]:
    """Successes and runs by remedy, as the page has them."""
    rows = TEXT.partition(f"**Results on {task}**")[2].partition("|---")[2].partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]
    return {remedy: tuple(map(int, told.split(" of "))) for remedy, told, *_ in cells}  # type: ignore[misc]


@pytest.mark.parametrize(("task", "rates"), [("recall", VANISHING), ("text", EXPLODING)])
def test_the_rates_are_those_of_the_page(task: str, rates: dict[str, SuccessRate]) -> None:
    found = table(task)
    assert len(found) == {"recall": 11, "text": 8}[task]
    assert {each.remedy: (each.successes, each.runs) for each in rates.values()}.items() <= found.items()


def shares(advice: tuple[Advice, ...], task: str) -> list[float]:
    """The success rate of each advice that names a row, in the order of the advice."""
    named = [re.fullmatch(rf"{PAGE}: (.+), (\d+) of (\d+) runs", each.see) for each in advice if each.see]
    found = table(task)
    assert all(each and found[each[1]] == (int(each[2]), int(each[3])) for each in named)
    return [int(each[2]) / int(each[3]) for each in named if each]


def test_advice_on_a_gradient_that_vanishes_is_in_the_order_of_the_table() -> None:
    advice = only(stuck(0.7, tables=gates(h=0.0)), "vanishing").advice
    assert [each.action for each in advice] == ["change-initialization", "change-cell", "shorten-path"]
    order = shares(advice, "recall")
    assert len(order) == 2
    assert order == sorted(order, reverse=True)
    assert not advice[-1].see
    untried = table("recall")["LSTM"]
    assert untried < table("recall")["LSTM, chrono"], "the advice asks for an open gate because of that"
    assert "open from the start: a bias of up to ln(T - 1) = " in advice[1].text
    assert str(advice[0]) == (
        "Start with an orthogonal or identity recurrent weight. [Le, Jaitly & Hinton 2015; see "
        "docs/presets/remedies.md: orthogonal initialization, 5 of 5 runs]"
    )
    lstm = only(stuck(0.7, tables=gates(i=0.5, f=0.5, g=0.0, o=0.5)), "vanishing").advice
    assert "LSTM, chrono, 5 of 5" in lstm[0].see


@pytest.mark.parametrize(("radius", "norm", "orthogonal"), [(1.0, 1.02, True), (0.6, 1.0, False), (0.5, 1.2, False)])
def test_a_weight_that_began_orthogonal_is_not_advised_to_be(radius: float, norm: float, orthogonal: bool) -> None:
    names = [schema.STEP, schema.PARAMETER, schema.GRAD_NORM, schema.SPECTRAL_RADIUS, schema.SPECTRAL_NORM]
    rows = [(0, "lstm.weight_hh_l0", 1.0, radius, norm), (0, "lstm.weight_ih_l0", 1.0, None, None)]
    table = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(names[2:], float))
    advice = only(stuck(0.7, tables={**gates(h=0.0), "parameters": table}), "vanishing").advice
    tries = ["change-initialization", "change-cell", "shorten-path"]
    assert [each.action for each in advice] == tries[orthogonal:]


def test_advice_on_a_gradient_that_explodes_is_in_the_order_of_the_table() -> None:
    advice = only(stuck(1.25, norm=[50.0] * S), "exploding").advice
    assert {each.action for each in advice} >= {"clip", "lower-learning-rate"}
    order = shares(advice, "text")
    assert len(order) == 2
    assert order == sorted(order, reverse=True)


def test_advice_that_was_not_tried_stays_as_it_is() -> None:
    advice = (Advice("Wait.", action="continue"), Advice("Clip.", action="clip"))
    assert with_rates(advice, VANISHING) == advice
    assert with_rates(advice, EXPLODING)[0] == advice[0]
