"""The pure part: no clock, no input or output, no framework. Same batches in, same analyses out."""
