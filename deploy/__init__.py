"""What a developer ships: cards that turn devices into cameras, and releases that these update themselves from."""
