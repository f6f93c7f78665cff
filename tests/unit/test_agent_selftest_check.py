from agent.selftest.check import Check, State, all_well, as_text

CHECKS = [
    Check("probe tcp", State.WORKS, "20 µs"),
    Check("clock", State.UNAVAILABLE, "nothing disciplines it", "run chrony"),
    Check("probe tls", State.UNTESTED, "no agent.toml"),
]


def test_only_a_failure_is_bad():
    """What a host cannot do, or what there was nothing to try on, is no reason to page somebody."""
    assert all_well(CHECKS)
    assert all_well([])
    assert not all_well([*CHECKS, Check("token", State.FAILED, "refused")])


def test_the_table_says_what_to_do_and_how_many():
    """A remedy stands below its own line; the last line counts."""
    lines = as_text(CHECKS).splitlines()
    assert lines[1].split(maxsplit=2) == ["clock", "unavailable", "nothing disciplines it"]
    assert lines[2].strip() == "→ run chrony"
    assert lines[-1] == "1 works, 1 unavailable, 1 untested"
