"""A terminal for tests: a command runs in a pseudo-terminal, and what a person would see is told."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyte

SYNCHRONIZED = 2026 << 5
"""The mode in which a terminal waits with what it shows, as pyte counts private modes."""


class Seen(NamedTuple):
    """What a person sees of a command."""

    code: int
    lines: list[str]
    """What stays, with what was scrolled away."""
    moments: list[list[str]]
    """What stood on the screen, half-drawn frames apart."""


def on_terminal(command: Sequence[str], *, folder: Path, variables: Mapping[str, str], rows: int, columns: int) -> Seen:
    """Run a command whose standard input, output and error are a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.HistoryScreen(columns, rows, history=10_000)
    stream = pyte.ByteStream(screen)
    moments = []
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", **variables}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        while written := _read(ours):
            stream.feed(written)
            if SYNCHRONIZED not in screen.mode:
                moments.append(_text(screen.display))
        os.close(ours)
        code = process.wait()
    scrolled = ["".join(line[column].data for column in range(columns)) for line in screen.history.top]
    return Seen(code, _text([*scrolled, *screen.display]), moments)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 64)  # Less than a frame, which must not be seen in pieces.
    except OSError:  # Nobody has the other end any more.
        return b""


def _text(lines: Sequence[str]) -> list[str]:
    return [text for line in lines if (text := line.rstrip())]
