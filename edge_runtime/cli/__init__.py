"""The commands ``edge-predict`` and ``edge-bundle``: the only place in the runtime that prints or exits."""
