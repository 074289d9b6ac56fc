"""What the engine finds in real captures whose incidents are known: hits, misses, and all that was raised besides."""
