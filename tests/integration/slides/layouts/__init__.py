"""Slides that the tests write, with known pixels, in the layouts of vendors. OpenSlide opens each as theirs."""
