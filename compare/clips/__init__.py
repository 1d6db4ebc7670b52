"""Models and filters compared on clips: quality over time, flicker, ghosts, cuts, and the time a frame takes."""
