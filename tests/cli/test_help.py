import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import mtrelu
from mtrelu.cli import _options, app
from mtrelu.cli._help import EPILOGS

COMMANDS = ("fit", "predict", "certify", "inspect", "export", "regime", "reproduce")
PROGRAM = [sys.executable, "-c", "from mtrelu.cli import main; main()"]


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def plain(text):
    """Text without colours, frames and line breaks."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", " ", text).split())


def examples(command):
    """The command lines in the help of a command, each as words."""
    lines = re.findall(r"^(?:Example|From a pipe|In a pipe): (.*)$", EPILOGS[command], re.M)
    assert lines
    return [shlex.split(line) for line in lines]


def test_version():
    assert run("--version").stdout.strip() == f"mtrelu {mtrelu.__version__}"


def test_no_command_shows_the_help():
    assert "Usage" in plain(run().output)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command):
    result = run(*command.split(), "--help")
    shown = plain(result.output)
    assert result.exit_code == 0 and "Usage" in shown
    assert plain(EPILOGS[command or "mtrelu"]) in shown
    if command:
        assert "Example: mtrelu " + command in shown and "--json prints: " in shown
        assert "--quiet" in shown


def test_exit_codes_are_those_of_the_code():
    shown = plain(run("--help").output)
    for name in ("NOT_CERTIFIED", "BAD_INPUT", "INTERRUPTED", "NOBODY_READS"):
        assert re.search(rf"\b{getattr(_options, name)} ", shown), name


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_use_options_that_exist(command):
    known = {
        name
        for parameter in typer.main.get_command(app).commands[command].params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for words in examples(command):
        assert command in words and {w for w in words if w.startswith("--")} <= known


def test_examples_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{i},{abs(i - 4)},{i % 3}\n" for i in range(9)]
    Path("sales.csv").write_text("week,north,south\n" + "".join(rows))
    Path("new.csv").write_text("week\n2.5\n12\n")
    for command in ("fit", "predict", "certify", "inspect", "export"):
        words = [word for word in examples(command)[0] if word not in ("&&", "echo", "proved")]
        result = run(*words[1:])
        assert result.exit_code == 0, (words, result.output)
    assert sorted(os.listdir()) == [
        "fitted", "model.onnx", "new.csv", "predictions.parquet", "sales.csv",
    ]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command):
    heavy = (
        "{'numpy', 'scipy', 'numba', 'sklearn', 'matplotlib', 'pyarrow', 'pandas', 'torch', "
        "'joblib', 'onnx', 'safetensors'}"
    )
    code = (
        "import sys\nfrom mtrelu.cli import main\n"
        f"sys.argv = ['mtrelu', {command!r}, '--help']\n"
        f"try:\n    main()\nfinally:\n    print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


class TestShellCompletion:
    @staticmethod
    def completed(words):
        environment = {
            "_MTRELU_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(
            PROGRAM, capture_output=True, text=True, env=os.environ | environment, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.split()

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("mtrelu ", {*COMMANDS}),
            ("mtrelu ex", {"export"}),
            ("mtrelu fit a.csv --missing", {"--missing-labels"}),
            ("mtrelu fit a.csv --loss h", {"huber"}),
            ("mtrelu export m --to ", {"onnx", "torch", "csv", "npz"}),
            ("mtrelu regime el-nino --skip ", {"affine", "constant"}),
        ],
    )
    def test_words(self, words, expected):
        assert set(self.completed(words)) == expected

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_for_a_shell(self, shell):
        done = subprocess.run(
            PROGRAM, capture_output=True, text=True, timeout=60,
            env=os.environ | {"_MTRELU_COMPLETE": f"source_{shell}"},
        )  # fmt: skip
        assert "_MTRELU_COMPLETE" in done.stdout


def test_losses_that_the_shell_completes_are_those_there_are():
    from mtrelu.cli.fit import fit
    from mtrelu.losses import make_loss

    option = inspect.signature(fit).parameters["loss"].annotation
    names = eval(option, vars(sys.modules["mtrelu.cli.fit"])).__metadata__[0].autocompletion("")
    assert {make_loss(name).name for name in names} == set(names)
    assert all(name in str(option) for name in names)
