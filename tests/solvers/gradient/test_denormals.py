import pytest
import torch

from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.denormals import flushed_denormals


def denormals_are_zero():
    return not bool(torch.full((1,), 1e-38) * 0.1 > 0)


@pytest.fixture
def restored():
    before = denormals_are_zero()
    yield
    torch.set_flush_denormal(before)


@pytest.mark.parametrize("before", [False, True])
def test_what_was_set_before_is_set_again(restored, before):
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor has no such mode")
    with pytest.raises(KeyError), flushed_denormals():
        assert denormals_are_zero()
        raise KeyError
    assert denormals_are_zero() == before
    seen = []
    train(
        [0, 1, 2],
        [0, 1, 0],
        0.1,
        seeds=1,
        steps=50,
        callback=lambda _: seen.append(denormals_are_zero()),
    )
    assert seen == [before]  # judgements and callbacks are not affected
    assert denormals_are_zero() == before
