"""The demo data: our own items with responses of simulated learners, free of rights and reproducible by seed."""
