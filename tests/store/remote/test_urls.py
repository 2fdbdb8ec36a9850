from pathlib import Path

import pytest

from graddiag.errors import MissingLibraryError, SettingError
from graddiag.store import shown
from graddiag.store.remote.objects import ObjectStore
from graddiag.store.remote.places import mirror_of, url_of_mirror
from graddiag.store.remote.urls import RemoteUrl, remote_url


@pytest.mark.parametrize("place", ["runs", "/home/me/runs", "C:/runs", "C:\\runs", "a:b", "./s3", Path("runs/x")])
def test_a_path_is_no_url(place: str | Path) -> None:
    assert remote_url(place) is None


@pytest.mark.parametrize(
    "place", ["s3://bucket/a/b", "s3://bucket/a/b/", Path("s3://bucket/a/b"), "s3://bucket//a/./b"]
)
def test_a_url_is_one_in_each_form(place: str | Path) -> None:
    found = remote_url(place)
    assert found == RemoteUrl("s3", "bucket/a/b")
    assert str(found / "run") == "s3://bucket/a/b/run"
    assert found.parent == RemoteUrl("s3", "bucket/a")
    assert RemoteUrl("s3", "bucket").parent is None


def test_what_is_put_behind_a_path_of_a_url_is_a_url() -> None:
    assert remote_url(Path("s3://bucket/runs") / "experiment") == RemoteUrl("s3", "bucket/runs/experiment")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("s3://", "names no bucket"),
        ("s3://key:secret@bucket/runs", "with credentials in it"),
        ("s3://bucket/../other", "without `..`"),
        ("s3://bucket/runs?versionId=1", "without `..`, `\\?`"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(place: str, words: str) -> None:
    with pytest.raises(SettingError, match=words) as refused:
        remote_url(place)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("path", ["bucket", "bucket/a b/Übung", "bucket/.hidden/100%", "/tmp/runs"])
def test_a_mirror_leads_back_to_its_url(path: str) -> None:
    url = RemoteUrl("memory", path)
    assert url_of_mirror(mirror_of(url)) == url
    assert shown(mirror_of(url)) == str(url)


def test_names_that_graddiag_makes_are_the_same_in_the_mirror() -> None:
    assert mirror_of(RemoteUrl("s3", "bucket/lstm-Größe_1.5")).name == "lstm-Größe_1.5"


def test_servers_at_which_buckets_have_one_name_are_mirrored_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    before = mirror_of(RemoteUrl("s3", "bucket"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert mirror_of(RemoteUrl("s3", "bucket")) != before
    assert url_of_mirror(mirror_of(RemoteUrl("s3", "bucket"))) == RemoteUrl("s3", "bucket")


def test_a_place_outside_the_mirror_is_a_path(tmp_path: Path) -> None:
    assert url_of_mirror(tmp_path / "runs") is None
    assert shown(tmp_path) == str(tmp_path)
    assert shown(Path("s3://bucket/runs")) == "s3://bucket/runs"


def test_a_scheme_that_fsspec_does_not_know_is_refused() -> None:
    with pytest.raises(MissingLibraryError, match="nowhere://: fsspec knows no such scheme"):
        ObjectStore(RemoteUrl("nowhere", "bucket"))


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'graddiag\[s3\]'"):
        ObjectStore(RemoteUrl("s3a", "bucket"))
