"""What lives as long as the process is not looked at again by the garbage collector."""

from __future__ import annotations

import gc


def settle() -> None:
    """To be called once everything is loaded and opened, and again when something else has been.

    A full collection goes through every object there is with the interpreter's lock held: some 50 ms for the modules
    that a daemon has loaded, and more on a machine with other work (measured on two busy cores: 340 ms), in which every
    thread misses its deadlines. After this call it goes through what came since.
    """
    gc.unfreeze()  # what was opened before, and is not needed any more
    gc.collect()
    gc.freeze()
