"""Measurements, one command each.  Never run as tests: they take minutes and their times depend on the machine."""
