"""The research papers' own comparison on a user's data: distilled students, their teachers, and all that is neither."""
