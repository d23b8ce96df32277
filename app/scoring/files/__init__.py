"""Files of rows as people have them: one format a module, and what is common to all of them."""
