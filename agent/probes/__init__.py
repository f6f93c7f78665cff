"""What can be measured: one module per probe."""
