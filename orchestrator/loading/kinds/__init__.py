"""The kinds of value that tables are made of: each reads a node and tells the JSON Schema what it reads."""
