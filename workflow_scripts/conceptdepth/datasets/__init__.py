"""From sources to prompts: fetching, reading and generating statements, rendering them, auditing them.

In: registry entries and the bytes behind them. Out: statements and prompts, findings of the data audit.
May import: ground, provenance.
"""
