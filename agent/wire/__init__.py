"""The contract between agent and collector: series, histogram, window, batch. No IO, no clock."""
