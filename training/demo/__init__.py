"""The demo data: our own items and made-up learners' responses, free of anyone's rights and repeatable by seed."""
