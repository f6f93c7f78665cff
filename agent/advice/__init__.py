"""Advice from one host's evidence: pure rules, run on the node itself and at the collector alike.

Order of reading: evidence (what is known), finding (what a rule says), rules (every check, one module for each area),
knowledge (the words), guards and conflicts (what keeps advice safe), advise (all of it in order), apply (files).
"""
