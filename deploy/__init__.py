"""What a developer ships: releases that devices update themselves from."""
