"""How good a network is on pairs it was not trained on."""
