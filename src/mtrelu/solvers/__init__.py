"""Solvers: one file a method. A solver never judges itself; `mtrelu.verify` does."""
