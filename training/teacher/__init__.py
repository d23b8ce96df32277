"""Teachers: base models, fine-tuning, soft labels, export."""
