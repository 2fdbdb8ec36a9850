"""Models of a window of words: parameter counts, shapes of the data, and a text small enough to know the answer."""

import math

import pytest
import torch
from torch import nn

from graddiag.lab.windows import (
    Cbow,
    Nplm,
    SkipGram,
    contexts,
    nearest,
    nplm_parameters,
    plane,
    surroundings,
    without_table,
)


@pytest.mark.parametrize("direct", [False, True])
def test_parameters_are_counted_as_in_the_paper(direct: bool) -> None:
    model = Nplm(50, 4, 7, 11, direct=direct)
    assert sum(p.numel() for p in model.parameters()) == nplm_parameters(50, 4, 7, 11, direct=direct)


def test_the_table_saves_a_weight_for_every_word_at_every_position() -> None:
    """V D are shared by all positions, where one-hot words need (n - 1) V h."""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4 * 50, 11), nn.Tanh(), nn.Linear(11, 50))
    assert sum(p.numel() for p in plain.parameters()) == without_table(50, 4, 11)
    saved = without_table(10_000, 5, 60) - nplm_parameters(10_000, 5, 30, 60)
    assert saved == 5 * 10_000 * 60 - (10_000 * 30 + 60 * 5 * 30)


def test_the_equation() -> None:
    torch.manual_seed(0)
    model = Nplm(9, 2, 3, 4, direct=True).double()
    C, H, d = model.table.weight, model.hidden.weight, model.hidden.bias
    U, b, W = model.output.weight, model.output.bias, model.direct.weight
    x = torch.cat([C[5], C[0]])
    expected = b + W @ x + U @ torch.tanh(d + H @ x)
    torch.testing.assert_close(model(torch.tensor([[5, 0]]))[0], expected)


def test_unused_words_get_no_gradient_and_lookup_is_a_product_with_one_hot() -> None:
    model = Nplm(6, 2, 3, 4)
    windows = torch.tensor([[1, 4], [4, 4]])
    model(windows).sum().backward()
    assert model.table.weight.grad[[0, 2, 3, 5]].eq(0).all()
    assert model.table.weight.grad[[1, 4]].ne(0).all()
    one_hot = nn.functional.one_hot(windows, 6).float()
    assert torch.equal(one_hot @ model.table.weight, model.table(windows))


def test_windows_of_a_text() -> None:
    words = torch.arange(6)
    before, after = contexts(words, 2)
    assert before.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert after.tolist() == [2, 3, 4, 5]
    around, middle = surroundings(words, 2)
    assert around.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert middle.tolist() == [2, 3]


@pytest.mark.parametrize("model", [Cbow, SkipGram])
def test_words_in_the_same_company_become_neighbours(model: type[nn.Module]) -> None:
    """0 and 1 stand between 2 and 3, 4 and 5 between 6 and 7, each as often as the other."""
    torch.manual_seed(0)
    text = torch.cat([torch.tensor([2, w, 3] if w < 2 else [6, w, 7]) for w in [0, 1, 4, 5] for _ in range(20)])
    around, middle = surroundings(text, 1)
    kept = torch.isin(middle, torch.tensor([0, 1, 4, 5]))
    around, middle = around[kept], middle[kept]
    net = model(8, 4)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(150):
        if model is Cbow:
            loss = nn.functional.cross_entropy(net(around), middle)
        else:
            logits = net(middle).unsqueeze(1).expand(-1, 2, -1)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), around.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(2), abs=0.01)  # which of two, and no more can be known
    if model is SkipGram:
        assert nearest(net.table.weight, 0, 1)[0][0] == 1
        assert nearest(net.table.weight, 5, 1)[0][0] == 4
    else:
        assert nearest(net.output.weight, 0, 1)[0][0] == 1


def test_nearest_by_cosine_and_not_by_length() -> None:
    table = torch.tensor([[1.0, 0], [10, 1], [0.9, 0.9], [-1, 0]])
    assert [word for word, _ in nearest(table, 0, 9)] == [1, 2, 3]
    assert nearest(table, 0, 1)[0][1] == pytest.approx(10 / math.sqrt(101))


def test_the_plane_keeps_what_is_already_plane() -> None:
    flat = torch.tensor([[3.0, 0, 0], [-1, 1, 0], [-1, -1, 0], [-1, 0, 0]], dtype=torch.float64)
    shown = plane(flat @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0])
    torch.testing.assert_close(torch.cdist(shown, shown), torch.cdist(flat, flat))
    assert shown[:, 0].var() > shown[:, 1].var()


def test_a_table_that_is_not_finite_has_no_components() -> None:
    assert plane(torch.tensor([[1.0, 2.0], [torch.nan, 0.0], [3.0, 1.0]])).isnan().all()
