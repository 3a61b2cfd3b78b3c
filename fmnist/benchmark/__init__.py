"""Measures how fast loader, networks and training are on this machine, beside what people use."""
