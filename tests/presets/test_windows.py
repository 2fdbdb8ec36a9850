"""nplm and cbow: measured over a whole text, counted, and learned; FACTS 27 of the table's gradient."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from graddiag.lab.corpora import words_corpus
from graddiag.lab.windows import Nplm, contexts, nplm_parameters
from graddiag.presets.bench import Bench
from graddiag.presets.cbow import CbowSettings, learn
from graddiag.presets.nplm import mean_loss

WORDS = ("a cat sat here and a dog sat there " * 40).split()


def test_the_loss_of_a_text_is_the_mean_over_all_its_words() -> None:
    corpus = words_corpus("here", WORDS)
    torch.manual_seed(0)
    net = Nplm(len(corpus.vocabulary), 3, 4, 5)
    seen, following = contexts(corpus.train, 3)
    expected = cross_entropy(net(seen), following).item()
    assert mean_loss(net, seen, following) == pytest.approx(expected, rel=1e-6)
    assert sum(each.numel() for each in net.parameters()) == nplm_parameters(len(corpus.vocabulary), 3, 4, 5)


def test_the_table_has_a_gradient_for_the_words_that_were_read_alone() -> None:
    """FACTS 27."""
    net = Nplm(20, 3, 4, 5)
    cross_entropy(net(torch.tensor([[1, 2, 3], [3, 2, 7]])), torch.tensor([4, 5])).backward()
    assert net.table.weight.grad is not None
    used = net.table.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert used == [1, 2, 3, 7]


@pytest.mark.parametrize("way", ["cbow", "skip-gram"])
def test_words_in_like_places_come_to_lie_close(way: str, tmp_path: Path) -> None:
    corpus = words_corpus("here", WORDS)
    settings = CbowSettings(steps=300, features=8, reach=1, batch=64, lr=0.02, vocabulary=20)
    found = learn(settings, corpus, way, Bench(tmp_path, "lab"))  # type: ignore[arg-type]
    assert found.losses[-1] < 0.7 * found.losses[0]
    rows = torch.nn.functional.normalize(found.table, dim=1)
    cat, dog, sat = (corpus.vocabulary.index(word) for word in ("cat", "dog", "sat"))
    assert rows[cat] @ rows[dog] > rows[cat] @ rows[sat]
