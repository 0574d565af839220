"""Side by side with peers: one script a question, ratios of medians, each beside its target.

``python -m benchmarks`` (or ``make bench``) runs them all, ``python -m benchmarks.startup`` one.
"""
