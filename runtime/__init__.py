"""What is in the store, answering."""
