"""The Hong Kong case from captured trees: same image and parameters everywhere, one region slow.

Its siblings are the same tree with what another region has: a link of 1500 bytes and nested virtualisation; in the
second case hardware virtualisation with its clock, too.
"""

import shutil

import pytest

from agent.hostfacts import collect
from collector.advice.drift import Member, compare
from collector.advice.likelihood import Symptom
from tests.host_samples import HOSTS

HERE = HOSTS / "hong-kong"
OVERLAY = "derived.overlay."


def sibling_facts(folder, *, accelerated):
    tree = folder / "frankfurt"
    shutil.copytree(HERE, tree, symlinks=True)
    (tree / "sys/class/net/ens3/mtu").write_text("1500\n")
    cpu = tree / "proc/cpuinfo"
    cpu.write_text(cpu.read_text().replace(" hypervisor", " hypervisor vmx"))
    if accelerated:
        for name in ("current_clocksource", "available_clocksource"):
            (tree / f"sys/devices/system/clocksource/clocksource0/{name}").write_text("kvm-clock\n")
    return values(tree)


def values(tree):
    return {fact.name: fact.value for fact in collect(tree, 1_800_000_000)}


def differences(folder, symptoms=(), *, accelerated=False):
    facts = sibling_facts(folder, accelerated=accelerated)
    siblings = [
        Member(f"fra{number}", "nebula", "worker", "image-7", facts, healthy=True) for number in range(3)
    ]
    slow = Member("hkg", "nebula", "worker", "image-7", values(HERE))
    return compare("hkg", [*siblings, slow], symptoms).differences


def test_the_overlay_that_does_not_fit_comes_first(tmp_path):
    """flannel is configured for 1500 everywhere; only here the link carries 1450. That, then the link, then the rest."""
    found = [difference.fact for difference in differences(tmp_path)]
    first = [fact for fact in found if fact.startswith(OVERLAY)]
    assert found[: len(first)] == first
    assert f"{OVERLAY}flannel.0.configured_underlay_fits_uplink" in first
    assert f"{OVERLAY}flannel.1.fits_underlay" in first
    assert found[len(first)] == "interface.uplink.mtu"


def test_missing_vmx_is_listed_and_proves_nothing(tmp_path):
    """Below everything that can be the cause, with the reason why it is no proof."""
    found = differences(tmp_path)
    flag = next(difference for difference in found if difference.fact == "cpu.flags.vmx")
    assert (flag.here, flag.there) == (False, True)
    assert "no proof" in flag.why_en
    assert flag is found[-1]


@pytest.mark.parametrize("symptoms", [(), (Symptom.DELAY, Symptom.LOSS)])
def test_software_emulation_is_found_beside_it(tmp_path, symptoms):
    """Against siblings with a hypervisor's clock the emulated CPU stands among the first, above the missing flag by far."""
    found = {
        difference.fact: difference.score for difference in differences(tmp_path, symptoms, accelerated=True)
    }
    assert found["virtualisation.accelerated"] > 0.9
    assert list(found).index("virtualisation.accelerated") <= 4
    assert found["virtualisation.accelerated"] > 3 * found["cpu.flags.vmx"]


def test_what_is_configured_alike_is_no_difference(tmp_path):
    """No parameter, no image, no overlay's configuration among the differences: they are the same everywhere."""
    found = [difference.fact for difference in differences(tmp_path)]
    assert not [
        fact for fact in found if fact.startswith(("sysctl.", "kernel.", "distribution.", "overlay_config."))
    ]
