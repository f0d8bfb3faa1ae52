"""What a host does and alters: the words of a plan, sockets, programs, changes with their undos, a view of its own."""
