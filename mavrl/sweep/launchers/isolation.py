"""What keeps jobs that share a process apart: each begins as in a fresh one, and writes to a log of its own."""

import logging
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mavrl.storage.files import open_log


@contextmanager
def isolated() -> Iterator[None]:
    """Undo, after a block, what the block does to the state of the process.

    The state consists of the working directory, environment variables, handlers of the root logger, and the random
    generators, threads and numerical settings of the libraries.
    """
    directory, variables = os.getcwd(), dict(os.environ)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        yield
    finally:
        _reset_libraries(int(variables.get("OMP_NUM_THREADS", "1")))  # which sets environment variables
        os.chdir(directory)
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)


def _reset_libraries(threads: int) -> None:
    """Give the libraries the settings of a fresh process, with generators seeded from the system's entropy."""
    random.seed()
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed()  # noqa: NPY002 -- the legacy generator is the global one
    if "torch" in sys.modules:
        import torch

        torch.seed()
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Append all that this process and those that it starts write to the output and error streams to a file.

    Raises:
        StorageError: it cannot be opened, or is a symbolic link.
    """
    streams = (sys.stdout, sys.stderr)
    with open(open_log(path), "ab", buffering=0) as log:
        _flush(streams)
        kept = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
        finally:
            _flush(streams)
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)


def _flush(streams: tuple) -> None:
    for stream in streams:
        stream.flush()


def fresh_log(directory: Path, number: int) -> Path:
    """Make an empty file `<number>.log`, or `<number>-2.log` and so on when earlier jobs had that number."""
    directory.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        path = directory / (f"{number}.log" if attempt == 1 else f"{number}-{attempt}.log")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            attempt += 1
        else:
            return path
