"""Loaders of labelled images on disk: one per published layout, each returns a :class:`Dataset`."""

from training.data.datasets.dataset import Dataset, Sample, Traits

__all__ = ["Dataset", "Sample", "Traits"]
