import pytest

from mtrelu.status import Status


def test_the_list_is_closed():
    assert {status.name for status in Status} == {
        "CERTIFIED",
        "ALMOST",
        "NOT_OPTIMAL",
        "UNCERTIFIED",
        "LIMIT_REACHED",
        "INFEASIBLE",
    }


@pytest.mark.parametrize("status", Status)
def test_every_status_explains_itself(status):
    for sentence in (status.meaning, status.advice):
        assert sentence.endswith(".") and len(sentence) > 30
        assert "  " not in sentence
    assert Status(status.value) is status
    assert status.value == status.name.lower().replace("_", " ")


def test_sentences_differ():
    assert len({status.meaning for status in Status}) == len(Status)
    assert len({status.advice for status in Status}) == len(Status)


def test_a_search_is_not_called_a_proof():
    assert "not proved" in Status.UNCERTIFIED.meaning
    assert "time_limit" in Status.UNCERTIFIED.advice


def test_an_upper_bound_is_not_called_a_proof_of_the_contrary():
    assert "upper bound" in Status.NOT_OPTIMAL.meaning
    assert "proves nothing against it" in Status.NOT_OPTIMAL.advice
