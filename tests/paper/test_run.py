import dataclasses
import json
import re
from base64 import b64decode
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from matplotlib.figure import Figure as Picture

import mtrelu
from mtrelu import InvalidInputError, MissingExtraError
from mtrelu.paper import run as room
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Figure
from mtrelu.paper.run import reproduce


def claim(name, source, tolerance):
    return Claim(name, f"The {name} is small & true.", "Section 7", "metres", source, "at most",
                 tolerance, "Because of <rounding>.")  # fmt: skip


class Toys:
    """Two figures that count how often they are measured."""

    def __init__(self):
        self.measured, self.kept, self.fail, self.trains = [], {}, False, []
        self.claims = [
            claim("length", "rows[0].off", 0.5),
            claim("width", "rows[*].off", 0.5),
            claim("height", "missing[*]", 0.5),
        ]
        self.quick = {"size": 1}

    def toy(self, name):
        def measure(settings, n_seeds, progress, kept):
            self.measured.append(name)
            self.kept[name] = kept
            kept.write_text("half of it")
            if self.fail and name == "two":
                raise KeyboardInterrupt
            progress(1, n_seeds)
            values = [settings["size"] / 10, float("inf") if name == "two" else 0.0]
            return {"rows": [{"off": value} for value in values], "missing": [float("nan")]}

        return Figure(name, f"Figure {name}", f"About {name}.", "A picture.", tuple(self.claims),
                      self.quick, {"size": 2}, measure, lambda data: Picture(figsize=(1, 1)),
                      name in self.trains)  # fmt: skip


@pytest.fixture
def toys(monkeypatch):
    toys = Toys()
    monkeypatch.setattr(room, "NAMES", ("one", "two"))
    monkeypatch.setattr(room, "figure", toys.toy)
    return toys


def files(folder):
    return sorted(path.name for path in folder.iterdir())


WRITTEN = ["one.json", "one.png", "report.html", "run.json", "two.json", "two.png"]


class TestRun:
    def test_everything_is_written_and_nothing_else(self, toys, tmp_path):
        out = tmp_path / "out"
        records = reproduce([], out, n_seeds=3)
        assert files(out) == WRITTEN and files(tmp_path) == ["out"]
        assert [record["figure"] for record in records] == ["one", "two"]
        record = json.loads((out / "two.json").read_text())
        assert record == records[1]
        assert [each["verdict"] for each in record["claims"]] == [
            "holds", "does not hold", "cannot be decided here",
        ]  # fmt: skip
        assert record["claims"][1]["measured"] == "inf"
        assert record["claims"][1]["where"] == "rows[1].off"
        assert record["data"] == {"rows": [{"off": 0.1}, {"off": "inf"}], "missing": [None]}
        assert record["seconds"] >= 0 and record["seeds"] == 3 and record["machine"]["cores"] >= 1
        assert (record["settings"], record["mtrelu"]) == ({"size": 1}, mtrelu.__version__)

    def test_full_settings(self, toys, tmp_path):
        assert reproduce(["one"], tmp_path / "out", full=True)[0]["settings"] == {"size": 2}
        assert files(tmp_path / "out") == ["one.json", "one.png", "report.html", "run.json"]

    def test_work_is_watched(self, toys, tmp_path):
        seen = []

        @contextmanager
        def watch(figure):
            seen.append(figure.name)
            yield lambda *step: seen.append(step)

        reproduce([], tmp_path / "out", n_seeds=4, watch=watch)
        assert seen == ["one", (1, 4), "two", (1, 4)]


class TestResume:
    def test_an_interrupted_run_goes_on_after_the_last_figure(self, toys, tmp_path):
        out, toys.fail = tmp_path / "out", True
        with pytest.raises(KeyboardInterrupt):
            reproduce([], out)
        assert files(out) == [
            "one.json", "one.png", "report.html", "run.json", "two.unfinished.jsonl",
        ]  # fmt: skip
        before = (out / "one.json").read_bytes()
        toys.fail = False
        records = reproduce([], out)
        assert toys.measured == ["one", "two", "two"] and len(records) == 2
        assert (out / "one.json").read_bytes() == before and files(out) == WRITTEN
        assert toys.kept["two"] == out / "two.unfinished.jsonl"

    def test_figures_can_be_added(self, toys, tmp_path):
        out = tmp_path / "out"
        assert len(reproduce(["two"], out)) == 1
        assert len(reproduce(["one"], out)) == 1
        assert toys.measured == ["two", "one"]
        report = (out / "report.html").read_text()
        assert report.index("Figure one") < report.index("Figure two")

    def test_a_picture_that_is_lost_is_drawn_again(self, toys, tmp_path):
        out = tmp_path / "out"
        reproduce([], out)
        before = (out / "one.png").read_bytes()
        (out / "one.png").unlink()
        reproduce(["two"], out)
        assert toys.measured == ["one", "two"] and (out / "one.png").read_bytes() == before

    def test_claims_are_judged_by_their_present_definition(self, toys, tmp_path):
        out = tmp_path / "out"
        reproduce(["one"], out)
        stricter = [dataclasses.replace(each, tolerance=1e-9) for each in toys.claims]
        toys.claims[:] = stricter
        record = reproduce(["one"], out)[0]
        assert toys.measured == ["one"]
        assert [each["verdict"] for each in record["claims"]][:2] == ["does not hold"] * 2
        assert json.loads((out / "one.json").read_text()) == record
        assert "1e-09" in (out / "report.html").read_text()

    def test_damaged_figures_are_made_again(self, toys, tmp_path):
        out = tmp_path / "out"
        reproduce(["one"], out)
        (out / "one.json").write_text('{"figure": "o')
        reproduce(["one"], out)
        assert toys.measured == ["one", "one"] and json.loads((out / "one.json").read_text())

    def test_a_write_that_fails_leaves_nothing_half(self, toys, tmp_path, monkeypatch):
        out = tmp_path / "out"
        monkeypatch.setattr(room, "png", lambda figure: "no bytes")
        with pytest.raises(TypeError):
            reproduce(["one"], out)
        assert files(out) == ["one.unfinished.jsonl", "run.json"]


class TestRefusals:
    @pytest.mark.parametrize("options", [{"n_seeds": 4}, {"full": True}])
    def test_another_run(self, toys, tmp_path, options):
        out = tmp_path / "out"
        reproduce(["one"], out)
        before = {name: (out / name).read_bytes() for name in files(out)}
        with pytest.raises(InvalidInputError, match=r"another run .*scale quick, seeds 5"):
            reproduce(["one"], out, **options)
        assert {name: (out / name).read_bytes() for name in files(out)} == before

    def test_another_version(self, toys, tmp_path, monkeypatch):
        reproduce(["one"], tmp_path / "out")
        monkeypatch.setattr(mtrelu, "__version__", "9")
        with pytest.raises(InvalidInputError, match="mtrelu 9"):
            reproduce(["one"], tmp_path / "out")

    def test_a_figure_with_other_settings(self, toys, tmp_path):
        reproduce(["one"], tmp_path / "out")
        toys.quick["size"] = 7
        with pytest.raises(InvalidInputError, match="one with other settings"):
            reproduce(["one"], tmp_path / "out")

    def test_a_folder_with_other_things(self, toys, tmp_path):
        (tmp_path / "thesis.tex").write_text("all of it")
        with pytest.raises(InvalidInputError, match="never replaced"):
            reproduce(["one"], tmp_path)
        assert files(tmp_path) == ["thesis.tex"]

    def test_a_file(self, toys, tmp_path):
        (tmp_path / "out").write_text("")
        with pytest.raises(InvalidInputError, match="never replaced"):
            reproduce(["one"], tmp_path / "out")

    def test_no_place_for_it(self, toys, tmp_path):
        with pytest.raises(InvalidInputError, match="is not a folder"):
            reproduce(["one"], tmp_path / "no" / "such")

    def test_an_empty_folder_is_fine(self, toys, tmp_path):
        assert reproduce(["one"], tmp_path)

    @pytest.mark.parametrize("n_seeds", [0, -1])
    def test_no_seeds(self, toys, tmp_path, n_seeds):
        with pytest.raises(InvalidInputError, match="1 or more"):
            reproduce(["one"], tmp_path / "out", n_seeds=n_seeds)
        assert files(tmp_path) == []

    def test_unknown_figures_are_answered_with_the_list(self, tmp_path):
        with pytest.raises(InvalidInputError, match=r"'fig77' .* fig1, fig2"):
            reproduce(["fig1", "fig77"], tmp_path / "out")
        assert files(tmp_path) == []

    def test_without_matplotlib_the_extra_is_named(self, toys, tmp_path, monkeypatch):
        monkeypatch.setattr(room, "find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match=re.escape("mtrelu[reproduce]")):
            reproduce(["one"], tmp_path / "out")
        assert files(tmp_path) == [] and toys.measured == []

    def test_without_torch_nothing_is_begun(self, toys, tmp_path, monkeypatch):
        toys.trains.append("two")
        monkeypatch.setattr(
            room, "find_spec", lambda name: None if name == "torch" else find_spec(name)
        )
        with pytest.raises(MissingExtraError, match=r"torch.*mtrelu\[reproduce\]"):
            reproduce([], tmp_path / "out")
        assert files(tmp_path) == [] and toys.measured == []
        assert reproduce(["one"], tmp_path / "out")

    @pytest.mark.parametrize("device", ["cuda:99", "abacus"])
    def test_a_device_that_is_not_there(self, toys, tmp_path, device):
        pytest.importorskip("torch")
        toys.trains.append("two")
        with pytest.raises(InvalidInputError, match=device):
            reproduce([], tmp_path / "out", device=device)
        assert files(tmp_path) == [] and toys.measured == []

    def test_what_a_kill_left_of_the_first_file_is_no_other_run(self, toys, tmp_path):
        (tmp_path / ".run.json.part-1").write_text("{")
        assert reproduce(["one"], tmp_path)


class TestReport:
    @pytest.fixture
    def report(self, toys, tmp_path):
        reproduce([], tmp_path / "out", n_seeds=2)
        self.out = tmp_path / "out"
        return (self.out / "report.html").read_text(encoding="utf-8")

    def test_the_claims_come_first(self, report):
        assert report.index("Claims of the paper") < report.index("<img")
        table = report[report.index("Claims of the paper") : report.index("<img")]
        assert table.count("holds</span>") == 3  # three of the six
        assert table.count("does not hold</span>") == 1
        assert table.count("cannot be decided here</span>") == 2
        assert "The length is small &amp; true." in table and "Section 7" in table

    def test_every_number_names_its_file_and_place(self, report):
        places = re.findall(r"<code>(\w+)\.json: data\.([^<]+)</code>", report)
        assert len(places) >= 12
        for name, place in places:
            value = json.loads((self.out / f"{name}.json").read_text())["data"]
            for step in re.findall(r"\w+|\*", place):
                value = value[0 if step == "*" else int(step) if step.isdigit() else step]
            assert value is None or float(value) >= 0
        assert "∞<br><code>two.json: data.rows[1].off" in report

    def test_it_loads_nothing_from_elsewhere(self, report):
        assert "src=" in report and not re.search(r'(src|href)="(?!data:|#)', report)
        pictures = re.findall(r"base64,([^\"]+)", report)
        assert [b64decode(each) for each in pictures] == [
            (self.out / f"{name}.png").read_bytes() for name in ("one", "two")
        ]

    def test_time_machine_reason_and_command(self, report):
        assert report.count("Because of &lt;rounding&gt;.") == 6
        assert "NumPy" in report and re.search(r"Measured in \d+\.\d s", report)
        assert "mtrelu reproduce one two --quick --seeds 2 --device cpu --out DIR" in report
        assert "1 open" in report and "1 against it" in report
