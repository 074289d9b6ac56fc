"""What carries batches from a source to the graph."""
