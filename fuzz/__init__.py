"""Random inputs, to find faults that the tests miss: ``python -m fuzz``, or ``make fuzz``.

A target is a module in ``fuzz/targets`` with one function, ``run(trials)``. It sets up what it needs, and makes one
input for each trial from ``trial.random`` alone, so that a seed and a number give the same input again. It raises if it
sees a fault. Everything that it raises is a finding, and so are a crash and a hang of its process.

    def run(trials: Trials) -> None:
        with a_server() as server:
            for trial in trials:
                request = trial.keep("request", make_request(trial.random))
                assert server.ask(request) < 500
"""
