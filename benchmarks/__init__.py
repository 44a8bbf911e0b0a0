"""What predictions cost beside other ways to run the same networks: ``python -m benchmarks``.

Every row of a table is a contestant in a process of its own (:mod:`benchmarks.contestant`). All contestants of a table
take turns in one run (:mod:`benchmarks.turns`), so a busy minute slows each of them.
"""
