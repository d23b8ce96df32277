"""The scoring service: bundles in, scores out, every score in SQL.  Everything here ships in the image."""
