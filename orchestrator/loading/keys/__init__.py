"""The one table of keys. Both the checking reader and the JSON Schema come from it."""
