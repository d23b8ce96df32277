"""Offline training: marked responses in, a tested bundle out.  Of the service it knows app.scoring only."""
