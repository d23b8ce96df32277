"""HTTP only: bodies, dependencies, errors, one router a file."""
