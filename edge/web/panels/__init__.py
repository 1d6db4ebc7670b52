"""The parts of the page below the picture: what is stored, what was measured, what a person may change."""
