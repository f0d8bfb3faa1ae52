"""Bytes of captures to segments: the file, the frame, the network layer, the transport, the notation."""
