"""Labelled images on disk: one loader a published layout, all returning a :class:`Dataset`."""

from training.data.datasets.dataset import Dataset, Sample, Traits

__all__ = ["Dataset", "Sample", "Traits"]
