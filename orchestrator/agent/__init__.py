"""What runs on a host. Ships alone: standard library only, Python 3.8 or newer, no import from outside this folder."""
