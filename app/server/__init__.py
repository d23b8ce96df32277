"""The HTTP server's processes and limits."""
