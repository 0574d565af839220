import pytest
import torch

from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.arithmetic import steady_arithmetic


def denormals_are_zero():
    tiny = torch.full((1,), torch.finfo(torch.float32).tiny, dtype=torch.float32)
    return not bool(tiny * 0.1 > 0)


@pytest.fixture
def restored():
    flushed, threads, dtype = (
        denormals_are_zero(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
    )
    yield
    torch.set_flush_denormal(flushed)
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("before", [False, True])
def test_what_was_set_before_is_set_again(restored, before, dtype):
    torch.set_default_dtype(dtype)
    torch.set_num_threads(2)
    if not torch.set_flush_denormal(before):
        pytest.skip("this processor has no such mode")
    with pytest.raises(KeyError), steady_arithmetic():
        assert denormals_are_zero() and torch.get_num_threads() == 1
        raise KeyError
    assert denormals_are_zero() == before and torch.get_num_threads() == 2
    seen = []
    train(
        [0, 1, 2],
        [0, 1, 0],
        0.1,
        seeds=1,
        steps=50,
        callback=lambda _: seen.append((denormals_are_zero(), torch.get_num_threads())),
    )
    assert seen == [(before, 2)]  # callbacks are not affected
    assert denormals_are_zero() == before and torch.get_num_threads() == 2


def test_steps_and_judgements_use_one_thread(restored, monkeypatch):
    from mtrelu.solvers.gradient.adam import Adam
    from mtrelu.solvers.gradient.stationarity import Judge

    torch.set_num_threads(2)
    seen = []

    def watched(method):
        def call(*arguments):
            seen.append((torch.get_num_threads(), denormals_are_zero()))
            return method(*arguments)

        return call

    for owner, name in ((Adam, "advance"), (Judge, "__call__")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    train([0, 1, 2], [0, 1, 0], 0.1, seeds=1, steps=50)
    assert len(seen) == 3 and {threads for threads, _ in seen} == {1}
    assert len({flushed for _, flushed in seen}) == 1
