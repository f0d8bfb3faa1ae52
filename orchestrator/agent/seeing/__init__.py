"""What a host sees: its tools, its wire, its own tables, and what of it is not the lab's."""
