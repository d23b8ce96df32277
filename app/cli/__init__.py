"""The commands of `scorelet`."""
