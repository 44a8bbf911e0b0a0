"""The store and the bundles that the unit tests of the registry have."""

from tests.unit.bundle.registry.conftest import make, place

__all__ = ["make", "place"]
