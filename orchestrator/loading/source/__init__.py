"""From the bytes of a file to a tree of nodes that know their places, and the problems found on the way."""
