"""Programs that speak to a peer from inside its own environment: one JSON command a line in, one JSON answer a line out."""
