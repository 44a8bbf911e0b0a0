"""``python -m training``: list, fit, evaluate, phantoms, samples."""

from training.cli import main

if __name__ == "__main__":
    main(prog_name="python -m training")
