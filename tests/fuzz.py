"""Readers under mutation: what a reader makes of thousands of damaged files, none of which may hang or take all memory."""

import faulthandler
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from conceptdepth.ground.errors import UserError

READ, SENTENCE, TRACEBACK, HANG, CRASH = "read", "sentence", "traceback", "hang", "crash"
"""What may come of a damaged file; the last three must not."""

SECONDS = 5
"""How long a reader may take over one file."""

MORE_MEMORY = 2**30
"""Bytes of address space that a reader may take."""

BATCH = 100
"""Files that one process reads; the next process begins where it died."""

INTEGERS = [0, 1, 2, 0x7F, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**40, 2**60, 2**63 - 1, 2**64 - 1]

WORDS = [
    b"null", b"true", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b"9" * 5000, b"[" * 100_000, b'{"a":' * 9000, b'"\\ud800"',
    b'"\\u0000"', b'"../../etc"', b'"' + b"x" * 5000 + b'"', b"\xff\xfe", b"\x00", b",", b"\n", b"0.5", b'"0"',
]  # fmt: skip


def mutants(content: bytes, seed: int) -> Iterator[bytes]:
    """Yield damaged versions of a file without end: flips, cuts, splices, other numbers and other words."""
    draw = random.Random(seed)
    while True:
        mutant = bytearray(content)
        for _ in range(draw.choice([1, 1, 1, 2, 5])):
            draw.choice(WAYS)(mutant, draw)
        yield bytes(mutant)


def _flip(mutant: bytearray, draw: random.Random) -> None:
    if mutant:
        mutant[draw.randrange(len(mutant))] ^= 1 << draw.randrange(8)


def _byte(mutant: bytearray, draw: random.Random) -> None:
    if mutant:
        mutant[draw.randrange(len(mutant))] = draw.randrange(256)


def _cut(mutant: bytearray, draw: random.Random) -> None:
    del mutant[draw.randrange(len(mutant) + 1) :]


def _remove(mutant: bytearray, draw: random.Random) -> None:
    first = draw.randrange(len(mutant) + 1)
    del mutant[first : first + draw.choice([1, 2, 8, 64, 512])]


def _splice(mutant: bytearray, draw: random.Random) -> None:
    first, to = draw.randrange(len(mutant) + 1), draw.randrange(len(mutant) + 1)
    piece = mutant[first : first + draw.choice([1, 2, 8, 64, 512])]
    mutant[to : to + draw.choice([0, len(piece)])] = piece


def _integer(mutant: bytearray, draw: random.Random) -> None:
    size, place = draw.choice([1, 2, 4, 8]), draw.randrange(len(mutant) + 1)
    number = draw.choice([*INTEGERS, len(mutant) - 1, len(mutant) + 1]) % 2 ** (8 * size)
    mutant[place : place + size] = number.to_bytes(size, "little")


def _word(mutant: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(mutant) + 1)
    mutant[place : place + draw.choice([0, 1, 4, 16])] = draw.choice(WORDS)


def _value(mutant: bytearray, draw: random.Random) -> None:
    """Put a word in the place of a value of JSON."""
    colons = [place for place, byte in enumerate(mutant) if byte == ord(":")]
    if colons:
        first = draw.choice(colons) + 1
        ends = [end for end in (mutant.find(mark, first) for mark in (b",", b"}", b"\n")) if end >= 0]
        mutant[first : min(ends, default=first)] = draw.choice(WORDS)


WAYS = [_flip, _flip, _byte, _cut, _remove, _splice, _integer, _integer, _word, _value]


def outcomes(
    read: Callable[[Path], object], content: bytes, path: Path, *, seed: int, until: Callable[[int], bool]
) -> "Tally":
    """Read damaged versions of a file until ``until`` says of their number that they are enough, and count outcomes."""
    tally, first = Tally(), 0
    while not until(first):
        for number, (outcome, words) in enumerate(_batch(read, content, path, seed + first)):
            tally.add(outcome, words, seed + first, number)
            last = number
        first += last + 1
    return tally


class Tally:
    """What came of the files that were read."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.bad: dict[str, tuple[int, int]] = {}
        """Seed and number of the first mutant that ended in each way that must not be."""

    def add(self, outcome: str, words: str, seed: int, number: int) -> None:
        """Count an outcome."""
        self.counts[outcome] += 1
        if outcome not in (READ, SENTENCE):
            self.bad.setdefault(f"{outcome}: {words}", (seed, number))

    def __str__(self) -> str:
        return f"{self.counts.total()} tried: {dict(self.counts)}"


def _batch(read: Callable[[Path], object], content: bytes, path: Path, seed: int) -> list[tuple[str, str]]:
    """Read some mutants in a process of its own, until it dies."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        faulthandler.disable()  # How it dies is told by its exit status.
        try:
            _read_all(read, content, path, seed, sending)
        finally:
            os._exit(0)
    os.close(sending)
    with open(receiving, encoding="utf-8") as stream:
        lines = [line.rstrip("\n").partition(" ") for line in stream]
    _, status = os.waitpid(child, 0)
    found = [(outcome, words) for outcome, _, words in lines]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        found.append((HANG if number == signal.SIGALRM else CRASH, signal.Signals(number).name))
    return found


def _read_all(read: Callable[[Path], object], content: bytes, path: Path, seed: int, sending: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE_MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # Ends the process, in the midst of a library's loop too.
    for _, mutant in zip(range(BATCH), mutants(content, seed)):
        path.write_bytes(mutant)
        signal.alarm(SECONDS)
        try:
            read(path)
            said = READ
        except UserError as error:
            said = SENTENCE if "\n" not in str(error) else f"{TRACEBACK} several lines"
        except BaseException as error:
            trace = error.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
            said = f"{TRACEBACK} {type(error).__name__} {where} {str(error)[:60]!r}"
        signal.alarm(0)
        os.write(sending, f"{said}\n".encode())


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """Return what says that the time is up."""
    end = time.monotonic() + seconds
    return lambda number: time.monotonic() > end
