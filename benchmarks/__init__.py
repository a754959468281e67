"""How fast streameval is, beside others and beside the machine's limits. Run it: `python -m benchmarks`.

Knows workloads, peers and clocks. Nothing in the package imports it.
"""
