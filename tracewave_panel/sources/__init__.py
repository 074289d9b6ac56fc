"""Where batches come from: one file a feed, and the parts they share."""
