"""Events of a run, such as a camera that is lost, and what is done when they happen."""
