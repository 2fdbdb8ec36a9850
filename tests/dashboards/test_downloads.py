"""Files to download: made when they are asked for, the newest under a link that stays, and none that is guessed."""

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from graddiag.errors import RunFormatError
from tests.dashboards.conftest import Open
from tests.dashboards.synthetic import pair, write_all
from tests.dashboards.test_pages import words
from ui import downloads
from ui.downloads import Offered, Offers, given, offers


def asked(key: str) -> Response:
    return given(Request({"type": "http", "method": "GET", "path_params": {"key": key, "name": "a.csv"}}))


def test_a_place_keeps_its_link_and_gives_what_was_drawn_last() -> None:
    found = Offers()
    first = found.add("session page key", Offered("a.csv", lambda: "1", "text/csv"))
    other = found.add("another page key", Offered("a.csv", lambda: "2", "text/csv"))
    again = found.add("session page key", Offered("a.csv", lambda: "3", "text/csv"))
    assert first == again != other
    held = [found.get(key) for key in (first, other, "guessed")]
    assert [each and each.content() for each in held] == ["3", "2", None]
    assert Offers().add("session page key", Offered("a.csv", lambda: "1", "text/csv")) != first


def test_the_oldest_offers_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST", 2)
    found = Offers()
    keys = [found.add(place, Offered("a.csv", lambda: "", "text/csv")) for place in ("a", "b", "a", "c")]
    assert [found.get(key) is not None for key in dict.fromkeys(keys)] == [True, False, True]


def test_a_file_is_given_to_be_saved_under_its_name() -> None:
    key = offers().add("test", Offered("größe.csv", lambda: "a\n1\n", "text/csv"))
    answer = asked(key)
    assert (answer.status_code, answer.body) == (200, b"a\n1\n")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv"
    assert answer.headers["content-type"].startswith("text/csv")


def test_what_is_gone_says_so() -> None:
    def gone() -> str:
        raise RunFormatError("runs/a: there is no manifest.")

    assert asked("0" * 32).status_code == 404
    answer = asked(offers().add("gone", Offered("a.csv", gone, "text/csv")))
    assert (answer.status_code, answer.body) == (410, b"runs/a: there is no manifest.")


def test_every_picture_of_a_page_has_its_numbers_beside_it(open_page: Open, root: Path) -> None:
    links = write_all(root, pair())
    text = words(open_page("compare", run=links))
    for key in ("glance-course", "glance-heat", "heat", "ratio", "profile"):
        assert f'download="{key}.csv"' in text
