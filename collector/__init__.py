"""The collector: stores the agents' windows, judges every path against its floor, reports and advises."""
