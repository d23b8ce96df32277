"""Commands of `scorelet`."""
