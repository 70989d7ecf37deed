"""Benchmarks: what is shipped against the plain form of the same work, and both against the machine's arithmetic."""
