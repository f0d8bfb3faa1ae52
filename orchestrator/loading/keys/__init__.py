"""The one table of keys, and the kinds of value it is made of. Both the checking reader and the JSON Schema come from it."""
