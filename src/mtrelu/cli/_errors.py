"""Whatever goes wrong becomes one line on standard error and an exit code."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from mtrelu.cli._options import BAD_INPUT, INTERRUPTED, NOBODY_READS, TERMINATED
from mtrelu.cli._output import STANDARD_OUTPUT


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a job scheduler or a shutdown sends it: cleaned up after like Ctrl-C."""


def tidy(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what can go wrong into one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            from mtrelu.validation import InvalidInputError, MissingExtraError

            try:
                with _sigterm_raises():
                    command(*args, **kwargs)
            except (InvalidInputError, MissingExtraError) as error:
                _stop(str(error))
        except MemoryError:
            _stop("that needs more memory than there is; nothing was written.")
        except BrokenPipeError:
            _abandon_output()
            raise typer.Exit(NOBODY_READS) from None
        except OSError as error:
            if error.filename == STANDARD_OUTPUT:
                _abandon_output()
                _stop(f"{STANDARD_OUTPUT}: {error.strerror}.")
            name = f"{error.filename}: " if error.filename else ""
            _stop(f"{name}{error.strerror or error}; nothing was written.")
        except (KeyboardInterrupt, SystemError) as error:
            interrupt = root_of_interrupt(error)
            if interrupt is None:
                raise
            terminated = isinstance(interrupt, Terminated)
            what = "terminated" if terminated else "interrupted"
            _say(f"{what}; {str(interrupt) or 'nothing was written.'}")
            raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from None

    return run


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` once; while that is cleaned up after, more are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def root_of_interrupt(error: BaseException) -> KeyboardInterrupt | None:
    """Ctrl-C, which in the middle of compiled code comes out as SystemErrors that it caused."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error if isinstance(error, KeyboardInterrupt) else None


def _stop(message: str) -> None:
    _say(message)
    raise typer.Exit(BAD_INPUT) from None


def _say(message: str) -> None:
    """One line, whatever characters the names of columns and files are made of."""
    words = " ".join(message.split())
    printable = (c if c.isprintable() else repr(c)[1:-1] for c in words)
    typer.echo(f"mtrelu: {''.join(printable)}", err=True)


def _abandon_output() -> None:
    """Let what standard output could not take go nowhere, also when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
