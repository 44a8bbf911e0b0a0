"""The SHA-256 of a file is the same with both implementations, and OpenSSL is loaded when there is much to hash."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from edge_runtime.platform.sha256 import FEW, Sha256

ONE_AFTER_THE_OTHER = """
import json, sys
from edge_runtime.platform.sha256 import FEW, sha256_of
loaded = []
for size in (0, 1000, FEW - 1000, 1):
    sha256_of(bytes(size))
    loaded.append("_hashlib" in sys.modules)
print(json.dumps(loaded))
"""


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 100_000, FEW, FEW + 1])
def test_both_implementations_give_the_digest_of_openssl(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    few, many = Sha256(), Sha256()
    many(bytes(FEW + 1))
    assert few(data[:size]) == many(data[:size]) == hashlib.sha256(data[:size]).hexdigest()


def test_openssl_is_loaded_after_a_few_bytes() -> None:
    """An own process, as pytest loads OpenSSL."""
    done = subprocess.run([sys.executable, "-c", ONE_AFTER_THE_OTHER], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False, False, True]
