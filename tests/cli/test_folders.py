import pytest
from tests.cli.commands import CURVES, files, fit, run, text

pytestmark = pytest.mark.usefixtures("folder_with_a_table")


class TestFolders:
    def test_an_earlier_fit_needs_force(self):
        fit("--x", "time", "--tasks", "a", "--alpha", "1")
        before = text("out/report.html")
        result = run("fit", "a.csv", "--x", "time", "--tasks", "b", "--out", "out")
        assert result.exit_code == 2 and "--force" in result.stderr
        assert text("out/report.html") == before
        fit("--x", "time", "--tasks", "b", "--alpha", "1", "--force")
        assert text("out/report.html") != before
        assert "alpha.png" not in files("out")  # nothing of the earlier fit stays
        assert files() == ["a.csv", "out"]

    @pytest.mark.parametrize("force", [[], ["--force"]])
    @pytest.mark.parametrize("name", ["notes.txt", ".hidden", "report.html"])
    def test_other_things_are_never_replaced(self, force, name, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).write_text("mine")
        result = run("fit", "a.csv", "--x", "time", "--tasks", "a", "--out", "out", *force)
        assert result.exit_code == 2 and "never replaced" in result.stderr
        assert (tmp_path / "out" / name).read_text() == "mine" and files() == ["a.csv", "out"]

    def test_a_file_is_never_replaced(self):
        result = run("fit", "a.csv", "--x", "time", "--tasks", "a", "--out", "a.csv", "--force")
        assert result.exit_code == 2
        assert text("a.csv") == CURVES

    def test_an_empty_folder_is_used(self, tmp_path):
        (tmp_path / "out").mkdir()
        fit("--x", "time", "--tasks", "a", "--alpha", "1")
        assert "report.html" in files("out")

    @pytest.mark.parametrize("compiled", [False, True])
    def test_interrupted(self, monkeypatch, compiled):
        def interrupt(*args, **kwargs):
            if compiled:  # what numba makes of it
                inner = SystemError("returned a result with an exception set")
                inner.__cause__ = KeyboardInterrupt()
                raise SystemError("returned a result with an exception set") from inner
            raise KeyboardInterrupt

        monkeypatch.setattr("mtrelu.tables.write_table", interrupt)  # when half is written
        result = run("fit", "a.csv", "--x", "time", "--tasks", "a", "--alpha", "1", "--out", "out")
        assert result.exit_code == 130
        assert result.stderr == "mtrelu: interrupted; nothing was written.\n"
        assert files() == ["a.csv"]

    def test_interrupted_while_replacing(self, monkeypatch):
        fit("--x", "time", "--tasks", "a", "--alpha", "1")
        before = text("out/report.html")

        def interrupt(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr("mtrelu.tables.write_table", interrupt)
        result = run("fit", "a.csv", "--x", "time", "--tasks", "b", "--out", "out", "--force")
        assert result.exit_code == 130
        assert text("out/report.html") == before and files() == ["a.csv", "out"]

    def test_disk_full(self, monkeypatch):
        def full(*args, **kwargs):
            raise OSError(28, "No space left on device", "out/predictions.csv")

        monkeypatch.setattr("mtrelu.tables.write_table", full)
        result = run("fit", "a.csv", "--x", "time", "--tasks", "a", "--alpha", "1", "--out", "out")
        assert result.exit_code == 2 and "No space left" in result.stderr
        assert files() == ["a.csv"]
