"""Tables, ranks and the page, as pure functions of what the evaluator wrote."""
