"""Ablations: the paper's experiments as suites of rows, trained over several seeds and compared in pairs."""
