"""What keeps a real host safe: undos as data, the lock, the journal, the guardian's work, and the cleaning up after a crash."""
