"""The report to a provider: one folder of figures, pages and a signed manifest."""
