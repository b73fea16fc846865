"""Open NumPy files that anybody may have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.files import readable
from rvsd_bench.texts import shortened


def open_array(path: Path) -> NDArray[Any]:
    """Open a NumPy file as a memory map: what its header claims takes no memory.

    Raises InputError for what is no array of plain values, or shorter than its header says. What is
    pickled in a file is not unpickled.
    """
    with readable(path), path.open("rb"):
        pass
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, which may raise nearly anything
        reason = shortened(str(error)) or type(error).__name__
        raise InputError(f"{path} is not a readable NPY file: {reason}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise InputError(f"{path} is not a readable NPY file: it is an archive of several")
    return found
