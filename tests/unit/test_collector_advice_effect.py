"""Before and after against control paths: known changes are found, none is not."""

import math

import numpy as np
import pytest

from collector.advice.effect import Effect, Figure, Outcome, effect_of, effects_of, outcome_of

CHANGE_S = 1_700_000_000 // 86400 * 86400 + 13 * 3600 + 1500
NOISE = 0.05


def paths(rng, count, change, *, days_before=7, hours_after=48, rho=0.4, noise=NOISE, week=0.2):
    """Hourly round trips with a rhythm of the day, a drift that all share, and dependent noise; change: a ratio."""
    start_s = CHANGE_S // 3600 * 3600 - days_before * 86400
    hours = start_s + 3600 * np.arange(days_before * 24 + 1 + hours_after)
    of_day = hours // 3600 % 24
    shared = 0.1 * np.sin(of_day / 24 * math.tau) + week * np.arange(len(hours)) / len(hours)
    found = []
    for _ in range(count):
        own, shocks = np.zeros(len(hours)), rng.normal(size=len(hours))
        own[0] = shocks[0]
        for at in range(1, len(hours)):
            own[at] = rho * own[at - 1] + math.sqrt(1 - rho * rho) * shocks[at]
        phase = 0.05 * np.sin(of_day / 24 * math.tau + rng.uniform(0, math.tau))
        moved = np.where(hours >= CHANGE_S, math.log1p(change), 0)
        level = math.log(rng.uniform(0.05, 0.25))
        found.append(
            dict(
                zip(
                    hours.tolist(), np.exp(level + shared + phase + noise * own + moved).tolist(), strict=True
                )
            )
        )
    return found


def test_changes_of_twice_the_noise_are_judged_right():
    """Of 200 changes of ± 2 × the hourly noise at least 95% are named, and none the wrong way round."""
    rng = np.random.default_rng(6)
    right, wrong = 0, 0
    for number in range(200):
        change, truth = ((-2 * NOISE, Outcome.HELPED), (2 * NOISE, Outcome.HARMED))[number % 2]
        found = effect_of(Figure.P99, paths(rng, 2, change), paths(rng, 5, 0), CHANGE_S).outcome
        right += found is truth
        wrong += found in {Outcome.HELPED, Outcome.HARMED} - {truth}
    assert right >= 190
    assert wrong == 0


def test_no_change_is_rarely_called_help():
    """Of 200 changes that did nothing at most 5% are called helped, while everything else drifts by a fifth."""
    rng = np.random.default_rng(7)
    found = [effect_of(Figure.P50, paths(rng, 2, 0), paths(rng, 5, 0), CHANGE_S).outcome for _ in range(200)]
    assert found.count(Outcome.HELPED) <= 10
    assert found.count(Outcome.HARMED) <= 10


def test_many_figures_are_no_more_often_wrong_than_one():
    """Of 100 changes that did nothing, judged by times, losses, retransmits and throughput, at most 5 are called helped."""
    rng = np.random.default_rng(20)

    def losses(count):
        hours = next(iter(paths(rng, 1, 0)))
        return [{hour: rng.binomial(360, 0.01) / 360 for hour in hours} for _ in range(count)]

    def figures(count):
        timed = {figure: paths(rng, count, 0) for figure in (Figure.P50, Figure.P99, Figure.THROUGHPUT)}
        return timed | {figure: losses(count) for figure in (Figure.LOSS, Figure.RETRANSMITS)}

    found = [outcome_of(effects_of(figures(2), figures(4), CHANGE_S)) for _ in range(100)]
    assert found.count(Outcome.HELPED) <= 5
    assert found.count(Outcome.HARMED) <= 5


def test_the_interval_holds_the_true_change():
    """A known 10% lies within the 95% interval in at least nine of ten runs, and the estimate is near it."""
    rng = np.random.default_rng(8)
    found = [effect_of(Figure.P50, paths(rng, 3, -0.1), paths(rng, 6, 0), CHANGE_S) for _ in range(100)]
    assert sum(effect.low <= -0.1 <= effect.high for effect in found) >= 90
    assert np.mean([effect.change for effect in found]) == pytest.approx(-0.1, abs=0.01)


def test_what_befell_every_path_is_no_effect_of_the_change():
    """All paths slow down by 30% in the same hour: the control paths take it out."""
    rng = np.random.default_rng(9)
    touched, controls = paths(rng, 4, 0.3, noise=0.005), paths(rng, 8, 0.3, noise=0.005)
    assert effect_of(Figure.P50, touched, controls, CHANGE_S).outcome is Outcome.NO_EFFECT


def test_a_busy_evening_is_not_taken_for_harm():
    """The change came before the daily peak and only the evening after it was measured: hours are matched."""
    rng = np.random.default_rng(10)

    def evening(found):
        return [
            {hour: value * (1.4 if hour // 3600 % 24 >= 18 else 1) for hour, value in path.items()}
            for path in found
        ]

    touched = evening(paths(rng, 3, 0, hours_after=10, noise=0.005, week=0))
    controls = paths(rng, 5, 0, hours_after=10, noise=0.005, week=0)
    assert effect_of(Figure.P50, touched, controls, CHANGE_S).outcome is Outcome.NO_EFFECT


def test_throughput_helps_upwards():
    """A fifth more throughput is help; a fifth less is harm."""
    rng = np.random.default_rng(11)
    controls = paths(rng, 5, 0)
    assert effect_of(Figure.THROUGHPUT, paths(rng, 3, 0.2), controls, CHANGE_S).outcome is Outcome.HELPED
    assert effect_of(Figure.THROUGHPUT, paths(rng, 3, -0.2), controls, CHANGE_S).outcome is Outcome.HARMED


def test_loss_is_subtracted_and_may_be_zero():
    """From 2% to none is minus two percentage points, although the control paths never lost anything."""
    rng = np.random.default_rng(12)
    hours = next(iter(paths(rng, 1, 0)))
    lossy = [
        {hour: rng.binomial(360, 0.02) / 360 if hour < CHANGE_S else 0.0 for hour in hours} for _ in range(3)
    ]
    clean = [dict.fromkeys(hours, 0.0) for _ in range(4)]
    found = effect_of(Figure.LOSS, lossy, clean, CHANGE_S)
    assert found.outcome is Outcome.HELPED
    assert not found.relative
    assert found.change == pytest.approx(-0.02, abs=0.002)
    assert found.before == pytest.approx(0.02, abs=0.002)


def test_noise_that_is_too_wide_says_how_long_to_wait_and_that_suffices():
    """A change of half the noise cannot be told after 6 hours; after the longest wait asked for it mostly can."""
    rng = np.random.default_rng(13)
    early = [
        effect_of(Figure.P50, paths(rng, 1, -0.05, hours_after=6), paths(rng, 5, 0, hours_after=6), CHANGE_S)
        for _ in range(20)
    ]
    untold = [effect for effect in early if effect.outcome is Outcome.CANNOT_TELL]
    assert len(untold) >= 15
    wait = 6 + max(effect.more_hours or 0 for effect in untold)
    later = [
        effect_of(
            Figure.P50, paths(rng, 1, -0.05, hours_after=wait), paths(rng, 5, 0, hours_after=wait), CHANGE_S
        )
        for _ in range(20)
    ]
    assert [effect.outcome for effect in later].count(Outcome.HELPED) >= 12


@pytest.mark.parametrize(
    ("touched", "controls", "more_hours", "said"),
    [
        ({}, {"hours_after": 48}, None, "48 hours before"),
        ({"days_before": 1}, {"days_before": 7}, None, "48 hours before"),
        ({"days_before": 7}, None, None, "without a changed end"),
        ({"hours_after": 2}, {"hours_after": 2}, 4, "2 hours after"),
    ],
)
def test_too_little_data_is_no_verdict(touched, controls, more_hours, said):
    """Nothing measured, a day before, no control path, two hours after: cannot tell, with the reason."""
    rng = np.random.default_rng(14)
    ours = paths(rng, 2, -0.5, **touched) if touched else []
    theirs = [] if controls is None else paths(rng, 3, 0, **controls)
    found = effect_of(Figure.P50, ours, theirs, CHANGE_S)
    assert found.outcome is Outcome.CANNOT_TELL
    assert (found.change, found.low, found.more_hours) == (None, None, more_hours)
    assert said in found.reason


def test_paths_measured_at_other_times_than_the_controls_are_not_compared():
    """Touched paths by day, controls by night: no hour in common, no verdict, and no warning either."""
    rng = np.random.default_rng(15)
    day = [{h: v for h, v in path.items() if h // 3600 % 24 < 12} for path in paths(rng, 2, 0)]
    night = [{h: v for h, v in path.items() if h // 3600 % 24 >= 12} for path in paths(rng, 2, 0)]
    assert effect_of(Figure.P50, day, night, CHANGE_S).outcome is Outcome.CANNOT_TELL


def test_a_path_that_appears_after_the_change_shifts_nothing():
    """A new, much longer path among the touched ones is no effect."""
    rng = np.random.default_rng(16)
    touched = paths(rng, 3, 0, noise=0.005)
    new = {hour: 50 * value for hour, value in touched[0].items() if hour > CHANGE_S}
    assert (
        effect_of(Figure.P50, [*touched, new], paths(rng, 5, 0, noise=0.005), CHANGE_S).outcome
        is Outcome.NO_EFFECT
    )


def test_a_path_that_is_missing_after_the_change_shifts_nothing():
    """Without the longest of three paths the others are what they were: no effect, whatever their mean does."""
    rng = np.random.default_rng(18)
    touched = paths(rng, 3, 0, noise=0.005)
    touched[0] = {hour: 50 * value for hour, value in touched[0].items() if hour < CHANGE_S + 7200}
    found = effect_of(Figure.P50, touched, paths(rng, 5, 0, noise=0.005), CHANGE_S)
    assert found.outcome is Outcome.NO_EFFECT
    assert found.change == pytest.approx(0, abs=0.01)


def test_more_figures_make_each_need_more_proof():
    """Five figures share the error of 5%; a figure without touched paths is not among them."""
    rng = np.random.default_rng(17)
    touched = {figure: paths(rng, 1, 0) for figure in (Figure.P50, Figure.P99)}
    found = effects_of(
        {**touched, Figure.LOSS: []}, {figure: paths(rng, 2, 0) for figure in Figure}, CHANGE_S
    )
    assert [(effect.figure, effect.confidence) for effect in found] == [
        (Figure.P50, 0.975),
        (Figure.P99, 0.975),
    ]


def test_harm_outweighs_help_and_nothing_measured_is_no_verdict():
    """One word for a change, the worst first."""

    def having(*outcomes):
        return outcome_of([Effect(Figure.P50, outcome, relative=True) for outcome in outcomes])

    assert having(Outcome.HELPED, Outcome.HARMED, Outcome.CANNOT_TELL) is Outcome.HARMED
    assert having(Outcome.HELPED, Outcome.CANNOT_TELL) is Outcome.HELPED
    assert having(Outcome.NO_EFFECT, Outcome.CANNOT_TELL) is Outcome.CANNOT_TELL
    assert having(Outcome.NO_EFFECT) is Outcome.NO_EFFECT
    assert having() is Outcome.CANNOT_TELL
