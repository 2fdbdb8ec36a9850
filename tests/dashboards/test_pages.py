"""Every page in this process: what it says of plain runs, and that no awkward run breaks it."""

import re
from html import escape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from graddiag.analysis import diagnose
from graddiag.jobs import control
from graddiag.jobs.values import JobRequest
from graddiag.store import load_run
from tests.dashboards.conftest import Open
from tests.dashboards.drawn import charts
from tests.dashboards.jobs import end, leave
from tests.dashboards.synthetic import Made, awkward, pair, write, write_all

AWKWARD = awkward()


def words(page: AppTest) -> str:
    """Everything the page says in text, whatever element says it."""
    kinds = ("html", "markdown", "caption", "text", "subheader", "badge")
    return " ".join(
        str(element.proto.body) for kind in kinds for element in page.get(kind) if hasattr(element.proto, "body")
    )


def pictures(page: AppTest) -> int:
    return len(charts(page))


def test_an_empty_root_says_how_to_fill_it(open_page: Open, root: Path) -> None:
    page = open_page("runs")
    assert not page.exception
    assert f"No runs yet under {root}" in words(page)
    assert any("graddiag pair" in code.value for code in page.code)
    assert [button.label for button in page.button] == ["Record the pair"]


@pytest.mark.parametrize("name", ["run", "compare", "report"])
def test_where_there_is_no_run_nothing_is_to_be_chosen(open_page: Open, root: Path, name: str) -> None:
    page = open_page(name)
    assert not page.exception
    assert f"No runs yet under {root}: there is nothing to choose." in words(page)
    assert [each.proto.label for each in page.get("page_link")] == ["How to record some"]


def test_the_table_shows_every_run(open_page: Open, root: Path) -> None:
    links = write_all(root, pair())
    page = open_page("runs")
    assert not page.exception
    (table,) = page.dataframe
    assert list(table.value["run"]) == links
    assert "2 runs in 1 experiment" in words(page)


def test_find_keeps_the_rows_that_hold_all_words(open_page: Open, root: Path) -> None:
    write_all(root, pair())
    page = open_page("runs", find="LSTM norm:1.0")
    assert list(page.dataframe[0].value["run"]) == ["pair/lstm-on"]
    page = open_page("runs", find="nothing-like-it")
    assert not page.dataframe
    assert "No run holds these words" in words(page)


def test_an_experiment_has_a_column_where_the_names_of_runs_do_not_tell_it(open_page: Open, root: Path) -> None:
    def columns() -> list[str]:
        return list(open_page("runs").dataframe[0].proto.column_order)

    write_all(root, pair())
    assert "experiment" not in columns()
    assert columns().index("created") < columns().index("seed") + 2  # not pushed out of sight by notes
    (root / "pair").rename(root / "moved")
    assert "experiment" in columns()


def test_a_phone_shows_the_outcome_the_loss_and_the_name(open_page: Open, root: Path) -> None:
    write_all(root, pair())
    shown = list(open_page("runs").dataframe[0].proto.column_order)
    assert shown[:4] == ["outcome", "loss", "run", "cause"]
    assert shown.index("final_loss") < shown.index("status")


def test_runs_page_lists_awkward_runs(open_page: Open, root: Path) -> None:
    links = write_all(root, list(AWKWARD.values()))
    page = open_page("runs")
    assert not page.exception
    assert sorted(page.dataframe[0].value["run"]) == sorted(links)


def test_run_page_names_the_outcome_first_then_what_to_do(open_page: Open, root: Path) -> None:
    link = write(root, Made("gone", timesteps=60, ratio=0.5))
    text, found = words(open_page("run", run=link)), diagnose(load_run(root / link))
    assert found.do_first is not None
    places = [text.index(part) for part in (found.outcome.headline, f"{found.first_label}:", "Clipped steps")]
    assert places == sorted(places)
    assert "vanishing" in text


def test_a_card_has_the_tone_of_the_outcome_and_a_healthy_run_no_red(open_page: Open, root: Path) -> None:
    broken, well = write(root, Made("nan", broken_from=5)), write(root, Made("well", steps=300, clip="norm:9"))
    assert diagnose(load_run(root / broken)).tone == "bad"
    assert "#a3260f" in words(open_page("run", run=broken))
    assert diagnose(load_run(root / well)).tone != "bad"
    assert "#a3260f" not in words(open_page("run", run=well))


def test_the_address_chooses_step_and_signal(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    page = open_page("run", run=link, step="3")
    assert page.slider(key="step").value == 3
    assert "at step 3" in words(page)
    page.slider(key="step").set_value(7).run()
    assert "at step 7" in words(page)


def test_the_step_of_the_largest_norm_is_one_click_away(open_page: Open, root: Path) -> None:
    page = open_page("run", run=write(root, pair()[0]), step="3")
    next(button for button in page.button if button.label == "Go to the largest gradient norm, step 11").click().run()
    assert page.slider(key="step").value == 11


def test_run_page_shows_where_it_became_non_finite(open_page: Open, root: Path) -> None:
    page = open_page("run", run=write(root, AWKWARD["nan"]))
    assert "non-finite" in words(page)
    assert any("timestep 3" in table.value.to_string() for table in page.dataframe)


def test_the_clip_coefficient_is_shown_where_something_is_clipped(open_page: Open, root: Path) -> None:
    off, on = write_all(root, pair())
    assert "Clip coefficient" not in words(open_page("run", run=off, section="training"))
    assert "Clip coefficient" in words(open_page("run", run=on, section="training"))


def test_compare_needs_two_runs(open_page: Open, root: Path) -> None:
    page = open_page("compare", run=write(root, pair()[0]))
    assert not page.exception
    assert "Choose two or more runs" in words(page)
    assert pictures(page) == 0


def test_compare_pictures_one_seed_of_several(open_page: Open, root: Path) -> None:
    links = [link for seed in range(3) for link in write_all(root, pair(seed=seed))]
    page = open_page("compare", run=links)
    assert not page.exception
    assert page.segmented_control(key="seed").options == ["0", "1", "2"]


def test_a_running_run_is_drawn_and_marked(open_page: Open, root: Path) -> None:
    page = open_page("run", run=write(root, AWKWARD["running"]))
    assert "running" in words(page)


def test_a_damaged_part_is_told_in_words(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    part = next((root / link / "timesteps").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    page = open_page("run", run=link)
    assert not page.exception
    assert "Could not be read" in words(page)


def test_a_damaged_manifest_is_a_row_and_is_refused_when_opened(open_page: Open, root: Path) -> None:
    link = write(root, pair()[0])
    (root / link / "manifest.json").write_text("{")
    assert list(open_page("runs").dataframe[0].value["run"]) == [link]
    assert "Could not open" in words(open_page("run", run=link))


def test_small_lines_hold_numbers_alone(open_page: Open, root: Path) -> None:
    """A cell with a gap in it would be shown as raw text."""
    write_all(root, [AWKWARD[name] for name in ("nan", "all nan", "inf", "zero gradient", "empty")])
    table = open_page("runs").dataframe[0].value.set_index("run")
    assert table.loc["nan", "loss"] == pytest.approx([3.0, 1.5, 1.0, 0.75, 0.6], rel=1e-3)
    assert len(table.loc["inf", "norm"]) == 5
    assert [len(table.loc[name, "norm"]) for name in ("all-nan", "zero", "empty")] == [0, 0, 0]
    assert all(isinstance(value, float) for cell in (*table["loss"], *table["norm"]) for value in cell)


def test_a_pair_is_asked_for_as_a_job(open_page: Open, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[JobRequest] = []
    monkeypatch.setattr(control, "start", lambda root, request: asked.append(request))
    write(root, Made("taken", experiment="text-rnn-norm-0.5"))
    page = open_page("runs")
    next(button for button in page.button if button.label == "Record the pair").click().run()
    assert not page.exception
    (request,) = asked
    assert request.experiment == "text-rnn-norm-0.5-2"
    assert request.arguments[:5] == ("pair", "--task", "text", "--model", "rnn")
    assert request.arguments[-2:] == ("--root", str(root))
    assert request.steps == 300


def test_a_job_that_failed_is_told_on_the_runs_page(open_page: Open, root: Path) -> None:
    end(root, leave(root), 2, "graddiag: the disk is full")
    page = open_page("runs")
    assert not page.exception
    assert "the disk is full" in words(page)
    next(button for button in page.button if button.label == "Dismiss").click().run()
    assert "the disk is full" not in words(page)


@pytest.mark.parametrize(
    "text", ["pair/lstm-on", "lesson 1: clip off", "*a* _b_ `c` ~~d~~ :red[e] :smile: $f$ [g](h) <b> http://a.b", "- a"]
)
def test_what_streamlit_reads_as_markdown_is_escaped_where_it_would_be_markup(text: str) -> None:
    from ui.text import as_label

    shown = as_label(text)
    assert MarkdownIt("commonmark").render(shown) == f"<p>{escape(text, quote=False)}</p>\n"
    assert not re.search(r"(?<!\\)(:\w|\$)", shown)
    assert (shown == text) == (text in ("pair/lstm-on", "lesson 1: clip off"))
