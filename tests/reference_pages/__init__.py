"""Write the pages of docs/reference that say what the code says; tests/test_docs.py compares them with the files."""
