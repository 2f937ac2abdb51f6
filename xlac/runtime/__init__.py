"""What runs while a compiled program runs: threads, memory and the cache of compiled objects."""
