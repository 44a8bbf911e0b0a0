"""The commands ``edge-predict`` and ``edge-bundle``. Only this package prints or exits."""
