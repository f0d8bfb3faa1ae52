"""What hosts print, as typed readings, and whether a live expectation holds on one. Pure: text in, records out."""
