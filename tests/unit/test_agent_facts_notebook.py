"""How facts are noted."""

from agent.facts.notebook import Missing, Notebook, asked, part_of_name
from agent.kernel.parse_error import ParseError
from agent.net.procfs import ProcRoot


def test_the_first_fact_of_a_name_stands(tmp_path):
    """A later one would contradict what was already concluded from the first."""
    notebook = Notebook(ProcRoot(tmp_path), 7)
    notebook.note("a", 1, "x")
    notebook.note("a", 2, "y")
    notebook.note("b", Missing("absent"), "z")
    assert [(f.name, f.value, f.source, f.time_s, f.reason) for f in notebook.facts] == [
        ("a", 1, "x", 7, None),
        ("b", None, "z", 7, "absent"),
    ]


def raising(error):
    def question():
        raise error

    return question


def test_reasons_tell_absent_unreadable_and_malformed_apart():
    """Each kind of failure begins with its own word."""
    reasons = [
        asked(raising(error)).reason
        for error in (
            FileNotFoundError(2, "No such file"),
            PermissionError(13, "Permission denied"),
            OSError(95, "Operation not supported"),
            ParseError("proc/stat", "line 1", "nonsense"),
        )
    ]
    assert reasons == [
        "absent",
        "not permitted",
        "refused: Operation not supported",
        "malformed: proc/stat: line 1: nonsense",
    ]


def test_odd_names_do_not_collide():
    """Two interfaces that differ in an odd character have two names."""
    assert part_of_name("eth0.100") == "eth0.100"
    assert part_of_name("a+b") != part_of_name("a@b")
