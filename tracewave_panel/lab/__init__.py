"""Experiments on history and on simulated streams: many windows at once, as arrays."""
