"""What single training steps of `retrieval` take of memory, and whether anything is kept from one to the next.

    python -m bench.step_memory
    TF_NUM_INTEROP_THREADS=1 python -m bench.step_memory

Made-up ratings by 5,000 users of 5,000 titles. First one batch is learned from again and again, then one batch after
the other. A line for each: the least and the greatest peak of resident memory in a step, but for the first ten, in MiB;
what is allocated and what glibc keeps of what was freed (`mallinfo2`), after the tenth step and after the last; and
resident memory before and after `malloc_trim`. Linux with glibc.
"""

import argparse
import ctypes
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from steps.recommender import data
from steps.recommender.allocation import keep_freed_memory
from steps.recommender.config import TrainingConfig
from steps.recommender.features import TitleTable
from steps.recommender.models import Basis, build_model
from steps.recommender.training import TrainStep, compile_step
from steps.recommender.vocabulary import Vocabulary

USERS, TITLES, ROWS = 5_000, 5_000, 360_000
SETTLED: Final = 10
"""Steps after which buffers that every step needs are there."""
MIB: Final = 2**20


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


LIBC: Final = ctypes.CDLL("libc.so.6")
LIBC.mallinfo2.restype = _Mallinfo2


def made_up() -> Basis:
    """What the model is told, with the training rows."""
    random = np.random.default_rng(1)
    train: dict[str, Any] = {
        "user": random.integers(1, USERS + 1, ROWS).astype(np.int32),
        "title": random.integers(1, TITLES + 1, ROWS).astype(np.int32),
        "rating": random.integers(1, 6, ROWS).astype(np.float32),
        "timestamp": np.arange(ROWS, dtype=np.int64),
    }
    none = np.zeros((TITLES + 1, 0), np.float32)
    titles = TitleTable((), none, np.full(TITLES + 1, np.nan, np.float32), np.zeros(0, np.int64))
    names = (tuple(map(str, range(count))) for count in (USERS, TITLES))
    return Basis(Vocabulary(*names), data.RatingScale(1, 5), data.mean(train, "rating"), titles, train)


def resident(what: str) -> float:
    """`VmRSS`, which is resident memory now, or `VmHWM`, its peak, in MiB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def allocated() -> str:
    """What the C library has given out, and what it keeps."""
    found = LIBC.mallinfo2()
    return f"{(found.uordblks + found.hblkhd) / MIB:,.0f} MiB in use, {found.fordblks / MIB:,.0f} free"


def watch(name: str, step: TrainStep, batches: Iterable[dict[str, Any]]) -> None:
    """Take a step with each batch, and print what that took."""
    peaks, settled = [], ""
    for batch in batches:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        float(step({column: tf.constant(values) for column, values in batch.items()})["loss"])
        peaks.append(resident("VmHWM"))
        settled = settled or (allocated() if len(peaks) == SETTLED else "")
    last, before = allocated(), resident("VmRSS")
    LIBC.malloc_trim(0)
    print(
        f"{name}: peaks of {min(peaks[SETTLED:]):,.0f} to {max(peaks[SETTLED:]):,.0f} MiB; {settled}, then {last}; "
        f"{before:,.0f} MiB resident, {resident('VmRSS'):,.0f} when trimmed",
        flush=True,
    )


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="more than 10; as many of each kind, at most 80")
    parser.add_argument("--batch-size", type=int, default=4096)
    arguments = parser.parse_args()
    keep_freed_memory()
    tf.config.experimental.enable_op_determinism()
    basis = made_up()
    config = TrainingConfig(model="retrieval", batch_size=arguments.batch_size)
    model = build_model(config, basis)
    step = compile_step(model, basis.train)
    batches = [batch for _, batch in model.training_batches(basis.train, arguments.batch_size)][: arguments.steps]
    watch("one batch", step, [batches[0]] * arguments.steps)
    watch("one batch after the other", step, batches)


if __name__ == "__main__":
    main()
