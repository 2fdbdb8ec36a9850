"""The faults of ``make torture``, a few of each: every reader works or says why it does not, and nothing is lost."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.torture.base import make_base
from benchmarks.torture.kills import killed_commands, killed_trainings, summary
from benchmarks.torture.mutations import MUTATIONS
from benchmarks.torture.readers import tried
from benchmarks.torture.writers import written_side_by_side

SEEDS = range(60)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


def test_the_same_seed_makes_the_same_damage(base: Path) -> None:
    first, second = (tried(base, 7, report_every=100) for _ in range(2))
    assert (first.damage, first.refused) == (second.damage, second.refused)


def test_the_seeds_make_every_kind_of_damage() -> None:
    names = list(MUTATIONS)
    found = {names[np.random.default_rng(seed).integers(len(names))] for seed in SEEDS}
    assert found == set(names)


@pytest.mark.slow
@pytest.mark.parametrize("first", SEEDS[::10])
def test_a_damaged_run_is_read_or_refused_in_words_by_every_reader(first: int, base: Path) -> None:
    for seed in range(first, first + 10):
        found = tried(base, seed)
        assert not found.wrong, f"seed {seed}, {found.damage}: {found.wrong}"


@pytest.mark.slow
def test_a_training_killed_at_any_moment_leaves_steps_without_a_gap(tmp_path: Path) -> None:
    killed = killed_trainings(tmp_path, 5)
    assert not [each for each in killed if each.wrong]
    assert "5 trainings killed, 0 wrong" in summary(killed)


@pytest.mark.slow
def test_a_command_killed_at_any_moment_does_too(tmp_path: Path) -> None:
    killed = killed_commands(tmp_path, 3)
    assert not [each for each in killed if each.wrong]
    assert any(each.steps for each in killed)


@pytest.mark.slow
def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    written = written_side_by_side(tmp_path, processes=3, runs=9)
    assert (written.complete, written.wrong) == (9, ())
    assert written.listings
