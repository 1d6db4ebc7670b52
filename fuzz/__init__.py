"""Inputs made at random, to find what the tests did not think of: ``python -m fuzz``, or ``make fuzz``.

A target is a module in ``fuzz/targets`` with one function, ``run(trials)``. It sets up what it needs, and makes one
input for each trial from ``trial.random`` alone, so that a seed and a number bring the same input back. What it must
not see it says by raising. Whatever it raises is a finding, and so are a crash and a hang of its process.

    def run(trials: Trials) -> None:
        with a_server() as server:
            for trial in trials:
                request = trial.keep("request", make_request(trial.random))
                assert server.ask(request) < 500
"""
