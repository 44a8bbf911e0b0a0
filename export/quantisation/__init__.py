"""Quantise a network to int8: rewrite it for int8, and search for a scheme that keeps parity with float32."""
