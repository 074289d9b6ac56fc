"""The Numenta Anomaly Benchmark: its files, its score, and an honest report of it.

The benchmark: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta
Anomaly Benchmark", ICMLA 2015; version 1.1 of its scoring.
"""
