"""Benchmarks: the same workloads on every framework, verified, measured in one run. Start reading at `bench/run.py`."""
