"""``python -m export``: from a training artifact to a bundle."""

from export.cli import main

if __name__ == "__main__":
    main(prog_name="python -m export")
