"""What the server does for each path."""
