"""Students: network, tokenizer, training, export."""
