"""Start an agent somewhere and talk with it: the channel that carries lines, the session that asks, the ways to a host."""
