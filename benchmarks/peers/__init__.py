"""The ways to run a network, one module each: this package, hand-written loops, and other packages.

Each module has ``open_peer(task)``, which returns a function of one item (:class:`benchmarks.task.Task`). A peer's
module imports its own package, NumPy and OpenCV alone, so that it runs in an environment of its own
(:mod:`benchmarks.environments`).
"""
