"""Entry point of ``python -m export``, which exports a Keras model to a bundle."""

from export.cli import main

if __name__ == "__main__":
    main(prog_name="python -m export")
