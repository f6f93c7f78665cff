"""What holds for every test."""

from hypothesis import settings

# Hypothesis' deadline of 200 ms per example is an absolute time: on a busy machine it fails what is right.
settings.register_profile("lightfloor", deadline=None)
settings.load_profile("lightfloor")
