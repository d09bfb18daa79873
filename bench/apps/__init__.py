"""One application per framework, all with the workloads of `bench/workloads.py`. Each is written as its framework teaches it."""
