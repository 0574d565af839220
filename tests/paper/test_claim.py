import dataclasses
import json
import math

import pytest

from mtrelu.paper.claim import Claim, Verdict
from mtrelu.paper.figure import NAMES, figure

CLAIM = Claim("a", "A.", "Figure 0", "size", "draws[*].off", "at most", 0.5, "Because.")
AT_LEAST = dataclasses.replace(CLAIM, sense="at least")


def judged(values, claim=CLAIM):
    return claim.judge({"draws": [{"off": value} for value in values]})


CASES = {
    "all within": ([0.1, 0.5], "holds", 0.5, "draws[1].off", 0, 0),
    "one beyond": ([0.1, 0.6, 0.2], "does not hold", 0.6, "draws[1].off", 1, 0),
    "one missing": ([0.1, None], "cannot be decided here", 0.1, "draws[0].off", 0, 1),
    "one beyond, one missing": ([None, 0.7], "does not hold", 0.7, "draws[1].off", 1, 1),
    "none": ([], "cannot be decided here", None, None, 0, 0),
    "all missing": ([None, None], "cannot be decided here", None, None, 0, 2),
    "infinite": ([0.0, "inf"], "does not hold", math.inf, "draws[1].off", 1, 0),
    "yes and no": ([False, True], "does not hold", 1.0, "draws[1].off", 1, 0),
    "minus infinity": (["-inf"], "holds", -math.inf, "draws[0].off", 0, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_verdicts(case):
    values, verdict, measured, where, violating, missing = CASES[case]
    found = judged(values)
    assert found.verdict is Verdict(verdict)
    assert (found.measured, found.where) == (measured, where)
    assert (found.n_cases, found.n_violating, found.n_open) == (len(values), violating, missing)


@pytest.mark.parametrize(
    ("values", "verdict", "where"),
    [
        ([0.5, 2.0], "holds", "draws[0].off"),
        ([0.7, 0.4], "does not hold", "draws[1].off"),
        ([True, False], "does not hold", "draws[1].off"),
        ([0.7, None], "cannot be decided here", "draws[0].off"),
    ],
)
def test_the_other_side(values, verdict, where):
    found = judged(values, AT_LEAST)
    assert (found.verdict.value, found.where) == (verdict, where)


def test_nan_is_missing_and_never_within():
    assert judged([math.nan]).verdict is Verdict.OPEN


@pytest.mark.parametrize(
    ("source", "where"),
    [("a.b", "a.b"), ("c[1].d", "c[1].d"), ("c[*].d", "c[2].d"), ("e[*][*]", "e[1][0]")],
)
def test_places(source, where):
    data = {"a": {"b": 1.0}, "c": [{"d": 0.0}, {"d": 1.0}, {"d": 3.0}], "e": [[0.0], [2.0, 1.0]]}
    found = dataclasses.replace(CLAIM, source=source).judge(data)
    assert found.where == where and found.verdict is Verdict.FAILS


@pytest.mark.parametrize("source", ["draws[*].on", "nothing", "draws[9].off", "draws[x].off"])
def test_a_place_that_is_not_there_is_no_verdict(source):
    with pytest.raises((LookupError, TypeError)):
        dataclasses.replace(CLAIM, source=source).judge({"draws": [{"off": 0.0}]})


def test_findings_are_json_with_their_definition():
    plain = json.loads(json.dumps(judged(["inf"]).to_dict(), allow_nan=False))
    assert plain["measured"] == "inf" and plain["verdict"] == "does not hold"
    assert Claim(**plain["claim"]) == CLAIM


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, 0.5], Verdict.HOLDS),
        ([0.1, 0.7], Verdict.OPEN),
        ([0.1, 1.0], Verdict.OPEN),
        ([0.7, 1.1], Verdict.FAILS),
        ([None, 1.1], Verdict.FAILS),
    ],
)
def test_between_tolerance_and_limit_nothing_is_decided(values, verdict):
    claim = dataclasses.replace(CLAIM, source="[*]", sense="at most", tolerance=0.5, limit=1.0)
    assert claim.judge(values).verdict is verdict
    other = dataclasses.replace(claim, sense="at least", tolerance=-0.5, limit=-1.0)
    assert other.judge([None if x is None else -x for x in values]).verdict is verdict


def test_what_is_not_in_the_paper_says_so():
    assert dataclasses.replace(CLAIM, place="Section 3").of_the_paper
    for place in ("beyond the paper", "follows from Figure 1", "a check"):
        assert not dataclasses.replace(CLAIM, place=place).of_the_paper


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_defined_in_full(name):
    each = figure(name)
    names = [claim.name for claim in each.claims]
    assert each.name == name and len(set(names)) == len(names) >= 2
    for claim in each.claims:
        assert claim.sense in ("at most", "at least") and math.isfinite(claim.tolerance)
        assert claim.place
        for text in (claim.sentence, claim.quantity, claim.reason):
            assert len(text) > 15, (claim.name, text)
