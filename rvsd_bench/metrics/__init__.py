"""The metrics of the protocols; heavy backends are imported by the metric that needs them."""
