"""What is spent and what it costs: models, ledger, charging rules and cost units."""
