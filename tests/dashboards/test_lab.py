"""The Lab page in this process: what it starts, what it refuses, and how it shows jobs in every state."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from streamlit.testing.v1 import AppTest

from graddiag import processes
from graddiag.jobs import control
from graddiag.jobs.files import read_jobs, report_of
from graddiag.jobs.values import Job, JobRequest
from graddiag.lab.spec import TaskName
from graddiag.presets import names
from tests.dashboards.conftest import Open
from tests.dashboards.jobs import end, leave
from tests.dashboards.synthetic import HOSTILE, pair, write_all
from tests.dashboards.test_pages import pictures, words


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    yield process.pid
    process.communicate()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[JobRequest]:
    """What would have been started, and was not."""
    requests: list[JobRequest] = []

    def start(root: Path, request: JobRequest) -> Job:
        requests.append(request)
        name = leave(root, len(requests))
        return next(job for job in read_jobs(root) if job.id == name)

    monkeypatch.setattr(control, "start", start)
    return requests


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def test_with_no_jobs_it_says_so(open_page: Open) -> None:
    page = open_page("lab")
    assert not page.exception
    assert not page.warning
    assert "No jobs yet" in words(page)


def test_a_pair_is_started_as_it_was_set(open_page: Open, root: Path, started: list[JobRequest]) -> None:
    page = open_page("lab", task="temporal-order", model="gru")
    page.number_input(key="steps").set_value(60).run()
    page.number_input(key="seeds").set_value(2).run()
    page.number_input(key="layers").set_value(3).run()
    press(page, "Start")
    assert not page.exception
    (request,) = started
    arguments = dict(zip(request.arguments[1::2], request.arguments[2::2], strict=True))
    assert request.arguments[0] == "pair"
    assert arguments["--task"] == "temporal-order"
    assert arguments["--model"] == "gru"
    assert arguments["--steps"] == "60"
    assert arguments["--seeds"] == "0,1"
    assert arguments["--layers"] == "3"
    assert arguments["--root"] == str(root)
    assert request.steps == 60 * 4
    assert page.query_params["job"]


def test_another_task_brings_the_numbers_that_suit_it(open_page: Open) -> None:
    page = open_page("lab")
    assert page.number_input(key="lr").value == 5.0
    page.selectbox(key="task").set_value("temporal-order").run()
    assert page.number_input(key="steps").value == 2500
    assert page.number_input(key="lr").value == pytest.approx(0.2)
    page.selectbox(key="model").set_value("lstm").run()
    assert page.number_input(key="lr").value == 1.0


def test_every_pair_of_the_demonstration_fills_the_form_and_can_be_asked_for(
    open_page: Open, started: list[JobRequest]
) -> None:
    page = open_page("lab")
    presets = [name for name in page.selectbox(key="start_from").options if name != "none"]
    assert len(presets) == 5
    for preset in presets:
        page.selectbox(key="start_from").set_value(preset).run()
        press(page, "Start")
        assert not page.exception
    asked = [dict(zip(one.arguments[1::2], one.arguments[2::2], strict=True)) for one in started]
    assert [one["--model"] for one in asked] == ["rnn", "lstm", "rnn", "rnn", "lstm"]
    assert [one["--length"] for one in asked] == ["60", "60", "30", "50", "50"]
    assert [one["--seeds"] for one in asked] == ["0,1", "0,1", "0,1,2", "0,1", "0,1"]


def test_a_number_typed_while_another_network_is_on_its_way_stays(open_page: Open) -> None:
    page = open_page("lab")
    suits = page.number_input(key="hidden").value
    page.selectbox(key="model").select("lstm")
    page.number_input(key="hidden").set_value(24)
    page.run()
    assert page.number_input(key="hidden").value == 24
    page.selectbox(key="model").select("gru").run()
    assert page.number_input(key="hidden").value == suits


@pytest.mark.parametrize("task", get_args(TaskName))
def test_every_task_can_be_asked_for_as_it_stands(open_page: Open, started: list[JobRequest], task: str) -> None:
    page = open_page("lab", task=task, model="gru")
    press(page, "Start")
    assert not page.exception
    assert [one.arguments[2] for one in started] == [task]


def test_a_length_that_the_task_cannot_have_is_refused(open_page: Open, started: list[JobRequest]) -> None:
    page = open_page("lab", task="temporal-order", length="5")
    press(page, "Start")
    assert "needs a length of" in words(page)
    assert not started


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        ("none", "a pair compares clipping off and on"),
        ("norm:-1", "must be positive and finite"),
        (HOSTILE[0], "there is no policy"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(
    open_page: Open, started: list[JobRequest], clip: str, told: str
) -> None:
    page = open_page("lab", clip=clip)
    press(page, "Start")
    assert not page.exception
    assert "Not started" in words(page)
    assert told in words(page)
    assert not started


def test_a_job_at_work_can_be_stopped(
    open_page: Open, root: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(processes, "signal_group", lambda process, since, number: bool(asked.append(number)) or True)
    leave(root, process=sleeper)
    page = open_page("lab")
    assert not page.exception
    assert "Starting: loading torch" in page.get("progress")[0].proto.text
    press(page, "Stop")
    press(page, "End at once")
    assert asked == [2, 15]


def test_a_job_with_runs_shows_their_curves_and_the_way_to_them(open_page: Open, root: Path, sleeper: int) -> None:
    leave(root, process=sleeper)
    write_all(root, pair())
    page = open_page("lab")
    assert not page.exception
    assert pictures(page) == 2
    assert "Step 24 of 24" in page.get("progress")[0].proto.text
    compare, newest = (element.proto for element in page.get("page_link"))
    assert compare.page == "compare"
    assert compare.query_string == "run=pair%2Flstm-off&run=pair%2Flstm-on"
    assert newest.page == "run"


@pytest.mark.parametrize(
    ("code", "log", "told"),
    [
        (0, "runs/pair: last loss 1", "finished"),
        (2, "graddiag: lr -1 cannot be used: input should be greater than 0.", "lr -1 cannot be used"),
        (1, "", "It ended without a word."),
        (2, f"graddiag: {HOSTILE[0]}", "&lt;img src=x onerror=alert(1)&gt;"),
    ],
)
def test_how_a_job_ended_is_told(open_page: Open, root: Path, code: int, log: str, told: str) -> None:
    end(root, leave(root), code, log)
    page = open_page("lab")
    assert not page.exception
    assert told in words(page)


def test_a_lost_job_is_told_and_can_be_put_away(open_page: Open, root: Path) -> None:
    leave(root)
    page = open_page("lab")
    assert "Its process is gone" in words(page)
    press(page, "Dismiss")
    assert "No jobs yet" in words(page)


def test_the_job_of_the_address_is_shown_first(open_page: Open, root: Path) -> None:
    for number in range(3):
        end(root, leave(root, number), 0)
    page = open_page("lab", job="20250101-000001-abcdef")
    assert not page.exception
    assert words(page).index("pair 1") < words(page).index("pair 2")
    press(page, "Show")
    assert page.query_params["job"] in ("20250101-000002-abcdef", ["20250101-000002-abcdef"])


@pytest.mark.parametrize("asked", ["../..", "gone", HOSTILE[0]])
def test_an_address_of_no_job_shows_the_newest(open_page: Open, root: Path, asked: str) -> None:
    end(root, leave(root), 0)
    page = open_page("lab", job=asked)
    assert not page.exception
    assert "pair 0" in words(page)


def test_a_job_of_hostile_words_is_shown_as_text(open_page: Open, root: Path) -> None:
    end(root, leave(root, title=HOSTILE[0], arguments=[HOSTILE[1], HOSTILE[2]]), 0, HOSTILE[2])
    page = open_page("lab")
    assert not page.exception
    assert "<img" not in words(page)


def test_a_preset_is_asked_for_with_its_settings(open_page: Open, started: list[JobRequest]) -> None:
    page = open_page("lab", kind="preset", preset="rnnlm")
    assert "Mikolov" in words(page)
    field = page.text_input(key="rnnlm-True-classes")
    field.set_value("7").run()
    press(page, "Start")
    (one,) = started
    assert one.arguments[:5] == ("lab", "rnnlm", "--quick", "--set", "classes=7")
    assert (one.experiment, one.parts, one.reports) == ("lab-rnnlm-quick", True, True)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("quick", ["true", "false"])
def test_every_preset_can_be_asked_for_as_it_stands(
    open_page: Open, started: list[JobRequest], name: str, quick: str
) -> None:
    page = open_page("lab", kind="preset", preset=name, quick=quick)
    press(page, "Start")
    assert not page.exception
    size = ("--quick",) if quick == "true" else ()
    assert [one.arguments[:-2] for one in started] == [("lab", name, *size)]


def test_a_setting_of_a_preset_that_cannot_be_meant_is_told(open_page: Open, started: list[JobRequest]) -> None:
    page = open_page("lab", kind="preset", preset="sum")
    page.text_input(key="sum-True-steps").set_value("many").run()
    press(page, "Start")
    assert "cannot be used: input should be a valid integer" in words(page)
    assert not started


def test_the_report_of_a_finished_preset_can_be_downloaded(tmp_path: Path) -> None:
    request = JobRequest(
        title="sum, quick", arguments=("--version",), experiment="lab-sum-quick", parts=True, reports=True
    )
    job = control.start(tmp_path, request)
    assert report_of(tmp_path, job) is None
    folder = tmp_path / ".jobs" / job.id / "report"
    folder.mkdir()
    (folder / "report.html").write_text("<h1>sum</h1>")
    assert report_of(tmp_path, job) == b"<h1>sum</h1>"
