"""Whoever dies, and whenever: a node that may be leased runs no test."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.wire.lease import Terms
from collector.plan.leases import (
    PREPARE_SECONDS,
    START_SECONDS,
    LeaseTable,
    longest_seconds,
    run_seconds,
)

TERMS = Terms("iperf3", 10, 1_000_000)
NODES = ["a", "b", "c", "d"]


class Fleet(RuleBasedStateMachine):
    """The table, and what really runs on each node: until when, at the latest, by the node's own deadline.

    Agents answer, refuse, die and come back in any order; answers get lost; time passes in any steps.
    """

    def __init__(self):
        super().__init__()
        self.now = 100.0
        self.table = LeaseTable(0.0)
        self.count = 0
        self.offered, self.ready = {}, []
        self.running = {node: [] for node in NODES}  # (lease id, end)

    def works(self, node, lease, seconds):
        """The node's program runs from now; its own deadline ends it."""
        self.running[node].append((lease, self.now + seconds))

    @rule(pair=st.permutations(NODES))
    def offer(self, pair):
        client, server = pair[:2]
        if not (self.table.may_lease(client, self.now) and self.table.may_lease(server, self.now)):
            with pytest.raises(ValueError, match="cannot be leased"):
                self.table.offer("x", client, server, TERMS, self.now)
            return
        self.count += 1
        lease = self.table.offer(str(self.count), client, server, TERMS, self.now)
        self.offered[lease.id] = lease

    @rule(which=st.integers(0, 3), answered=st.booleans(), delay=st.floats(0, 15))
    def serve(self, which, answered, delay):
        """An agent starts its server, some time after the offer; its "ready" may get lost or come late."""
        for lease in list(self.offered.values())[which : which + 1]:
            del self.offered[lease.id]
            self.works(lease.server, lease.id, max(lease.server_until_s or 0, self.now) - self.now)
            self.now += delay
            if answered and self.table.ready(lease.id, lease.server, 5000, self.now):
                self.ready.append(lease)

    @rule(client=st.sampled_from(NODES), arrives=st.booleans())
    def take(self, client, arrives):
        """A client asks; the answer may never reach it."""
        lease = self.table.waiting_for_client(client, self.now)
        if lease is not None:
            self.table.hand_over(lease, self.now)
            if arrives:
                self.works(client, lease.id, run_seconds(TERMS))

    @rule(node=st.sampled_from(NODES), told=st.booleans())
    def end(self, node, told):
        """The program ends early, or the agent is killed, which kills the program; the table may not hear of it."""
        stopped, self.running[node] = self.running[node], []
        for lease, _ in stopped if told else []:
            self.table.ended(lease, node, self.now)

    @rule(node=st.sampled_from(NODES))
    def refuse(self, node):
        """A node that runs nothing says so of any lease of its own."""
        for lease in list(self.offered.values()):
            if lease.server == node:
                del self.offered[lease.id]
                self.table.ended(lease.id, node, self.now)

    @rule(seconds=st.floats(0.1, 60))
    def wait(self, seconds):
        self.now += seconds
        for node, tests in self.running.items():
            self.running[node] = [(lease, end) for lease, end in tests if end > self.now]
        list(self.table.take_over(self.now))

    @invariant()
    def never_two_tests_on_a_node(self):
        for node, tests in self.running.items():
            live = [lease for lease, end in tests if end > self.now]
            assert len(live) <= 1, (node, tests)

    @invariant()
    def what_may_be_leased_runs_nothing(self):
        for node, tests in self.running.items():
            if any(end > self.now for _, end in tests):
                assert not self.table.may_lease(node, self.now), node


Fleet.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestFleet = Fleet.TestCase


def test_a_lease_that_nobody_answers_is_over_by_itself():
    """The client is free after the server had its chance, the server when it could not run any more."""
    table = LeaseTable(0.0)
    table.offer("1", "a", "b", TERMS, 0.0)
    assert not table.may_lease("a", PREPARE_SECONDS - 0.1)
    assert table.may_lease("a", PREPARE_SECONDS)
    assert not table.may_lease("b", longest_seconds(TERMS) - 0.1)
    assert [lease.id for lease in table.take_over(longest_seconds(TERMS))] == ["1"]
    assert not list(table.take_over(longest_seconds(TERMS)))


def test_a_finished_test_frees_each_end_as_it_says_so():
    """No slot is wasted."""
    table = LeaseTable(0.0)
    lease = table.offer("1", "a", "b", TERMS, 0.0)
    assert table.waiting_for_client("a", 0.5) is None
    assert table.ready("1", "b", 5000, 1.0)
    table.hand_over(table.waiting_for_client("a", 1.0), 1.0)
    assert (lease.phase, lease.client_until_s) == ("running", 1.0 + run_seconds(TERMS))
    table.ended("1", "b", 12.0)
    assert (table.may_lease("a", 12.0), table.may_lease("b", 12.0)) == (False, True)
    table.ended("1", "a", 12.5)
    assert table.may_lease("a", 12.5)


def test_strangers_and_late_answers_change_nothing():
    """Only the leased server may say that it is ready, once, in time."""
    table = LeaseTable(0.0)
    table.offer("1", "a", "b", TERMS, 0.0)
    assert not table.ready("1", "a", 5000, 1.0)
    assert not table.ready("2", "b", 5000, 1.0)
    assert table.ended("1", "c", 1.0) is None
    assert not table.ready("1", "b", 5000, PREPARE_SECONDS)


def test_a_server_that_no_client_came_to_is_not_handed_over_late():
    """After START_SECONDS the server has given up."""
    table = LeaseTable(0.0)
    table.offer("1", "a", "b", TERMS, 0.0)
    table.ready("1", "b", 5000, 9.0)
    assert table.waiting_for_client("a", 9.0 + START_SECONDS) is None


def test_after_a_start_nothing_is_leased_while_old_leases_may_live():
    """A collector that restarts knows nothing of them."""
    table = LeaseTable(longest_seconds(TERMS))
    assert not table.may_lease("a", longest_seconds(TERMS) - 1)
    assert table.may_lease("a", longest_seconds(TERMS))


def test_a_server_is_needed_until_its_client_is_done():
    """And nobody else is told that it is."""
    table = LeaseTable(0.0)
    table.offer("1", "a", "b", TERMS, 0.0)
    table.ready("1", "b", 5000, 1.0)
    table.hand_over(table.waiting_for_client("a", 1.0), 1.0)
    assert (table.is_live("1", "b", 2.0), table.is_live("1", "a", 2.0)) == (True, False)
    table.ended("1", "a", 3.0)
    assert not table.is_live("1", "b", 3.0)
