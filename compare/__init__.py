"""Models compared on the same pictures: quality, cost, and where int8 loses."""
