"""What ``packets``, ``count`` and ``icmp`` share: which segments are spoken of, one line against one segment, all lines in order."""
