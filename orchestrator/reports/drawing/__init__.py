"""The lines of a report to text on a screen: ink, rows, arrows. Each thing is drawn in one place only."""
