"""The commands of `scorelet-train`."""
