"""Causal inference on crime panels: counts with exposure, few treated units, treatments that end, spillovers.

Names load on first use, so that ``import crimepolicy`` itself costs next to nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from crimepolicy.errors import CrimepolicyError

if TYPE_CHECKING:
    from crimepolicy.bayes.event_study import bayesian_event_study as bayesian_event_study
    from crimepolicy.bayes.from_arviz import from_arviz as from_arviz
    from crimepolicy.bayes.prior_sensitivity import prior_sensitivity as prior_sensitivity
    from crimepolicy.bayes.reporting import Capture as Capture
    from crimepolicy.bayes.reporting import with_capture as with_capture
    from crimepolicy.bayes.synthetic_control import bayesian_synthetic_control as bayesian_synthetic_control
    from crimepolicy.claims.verdict import judge as judge
    from crimepolicy.data import datasets as datasets
    from crimepolicy.data import load_events as load_events
    from crimepolicy.data import load_panel as load_panel
    from crimepolicy.data import load_table as load_table
    from crimepolicy.data.fetch import fetch as fetch
    from crimepolicy.diagnostics.decomposition import bacon_decomposition as bacon_decomposition
    from crimepolicy.diagnostics.pretrends import pretrend_test as pretrend_test
    from crimepolicy.did.dose import dose_response as dose_response
    from crimepolicy.did.efficient_staggered import efficient_staggered as efficient_staggered
    from crimepolicy.did.extended_twfe import extended_twfe as extended_twfe
    from crimepolicy.did.group_time import group_time_effects as group_time_effects
    from crimepolicy.did.imputation import imputation as imputation
    from crimepolicy.did.interaction_weighted import interaction_weighted as interaction_weighted
    from crimepolicy.did.spillover import spillover_effects as spillover_effects
    from crimepolicy.did.stacked import stacked_event_study as stacked_event_study
    from crimepolicy.did.switching import switching_effects as switching_effects
    from crimepolicy.did.two_way import two_way_fixed_effects as two_way_fixed_effects
    from crimepolicy.estimate import Check as Check
    from crimepolicy.estimate import Estimate as Estimate
    from crimepolicy.inference.cluster import cluster as cluster
    from crimepolicy.inference.conformal import conformal_interval as conformal_interval
    from crimepolicy.inference.conformal import conformal_test as conformal_test
    from crimepolicy.inference.conley import conley as conley
    from crimepolicy.inference.conley_taber import conley_taber as conley_taber
    from crimepolicy.inference.cross_fit_t import cross_fit_t_test as cross_fit_t_test
    from crimepolicy.inference.ferman_pinto import ferman_pinto as ferman_pinto
    from crimepolicy.inference.few_treated import few_treated as few_treated
    from crimepolicy.inference.mechanisms import MoveClusters as MoveClusters
    from crimepolicy.inference.mechanisms import PermuteSchedules as PermuteSchedules
    from crimepolicy.inference.mechanisms import RedrawDates as RedrawDates
    from crimepolicy.inference.mechanisms import RedrawPlaces as RedrawPlaces
    from crimepolicy.inference.multiple_testing import multiple_testing as multiple_testing
    from crimepolicy.inference.multiplier import multiplier_bootstrap as multiplier_bootstrap
    from crimepolicy.inference.placebo import placebo_test as placebo_test
    from crimepolicy.inference.randomization import randomization_test as randomization_test
    from crimepolicy.inference.randomization_interval import randomization_interval as randomization_interval
    from crimepolicy.inference.shared_noise import alvarez_ferman as alvarez_ferman
    from crimepolicy.inference.sign_change import sign_change_test as sign_change_test
    from crimepolicy.inference.wild import wild_bootstrap as wild_bootstrap
    from crimepolicy.panel import Event as Event
    from crimepolicy.panel import Panel as Panel
    from crimepolicy.sensitivity.breakdown import breakdown as breakdown
    from crimepolicy.sensitivity.calibration import calibrate as calibrate
    from crimepolicy.sensitivity.event_dates import dates_sensitivity as dates_sensitivity
    from crimepolicy.sensitivity.honest import honest_bounds as honest_bounds
    from crimepolicy.sensitivity.lead_smoothness import lead_smoothness as lead_smoothness
    from crimepolicy.sensitivity.leave_one_out import leave_one_out as leave_one_out
    from crimepolicy.sensitivity.peak_placebos import peak_matched_placebos as peak_matched_placebos
    from crimepolicy.sensitivity.placebo_design import mask_treated as mask_treated
    from crimepolicy.sensitivity.reclassification import reclassification_bounds as reclassification_bounds
    from crimepolicy.sensitivity.recording import recording_bounds as recording_bounds
    from crimepolicy.sensitivity.restrictions import monotone as monotone
    from crimepolicy.sensitivity.restrictions import relative_magnitudes as relative_magnitudes
    from crimepolicy.sensitivity.restrictions import sign as sign
    from crimepolicy.sensitivity.restrictions import smoothness as smoothness
    from crimepolicy.sensitivity.specification import specification_curve as specification_curve
    from crimepolicy.sensitivity.vintages import vintage_bounds as vintage_bounds
    from crimepolicy.synth.augmented import augmented_synthetic_control as augmented_synthetic_control
    from crimepolicy.synth.balance import predictor_balance as predictor_balance
    from crimepolicy.synth.contamination import donor_events as donor_events
    from crimepolicy.synth.donor_sensitivity import leave_donors_out as leave_donors_out
    from crimepolicy.synth.factor_model import factor_model as factor_model
    from crimepolicy.synth.prediction_intervals import prediction_intervals as prediction_intervals
    from crimepolicy.synth.predictors import Predictor as Predictor
    from crimepolicy.synth.synthetic_control import synthetic_control as synthetic_control
    from crimepolicy.synth.synthetic_did import synthetic_did as synthetic_did
    from crimepolicy.synthesis.hierarchical import hierarchical_synthesis as hierarchical_synthesis
    from crimepolicy.synthesis.meta import synthesise as synthesise

# Where each name lives; the imports above say the same to type checkers.
_HOMES = {
    "bayes.event_study": ["bayesian_event_study"],
    "bayes.from_arviz": ["from_arviz"],
    "bayes.prior_sensitivity": ["prior_sensitivity"],
    "bayes.reporting": ["Capture", "with_capture"],
    "bayes.synthetic_control": ["bayesian_synthetic_control"],
    "claims.verdict": ["judge"],
    "data": ["datasets", "load_events", "load_panel", "load_table"],
    "data.fetch": ["fetch"],
    "diagnostics.decomposition": ["bacon_decomposition"],
    "diagnostics.pretrends": ["pretrend_test"],
    "did.dose": ["dose_response"],
    "did.efficient_staggered": ["efficient_staggered"],
    "did.extended_twfe": ["extended_twfe"],
    "did.group_time": ["group_time_effects"],
    "did.imputation": ["imputation"],
    "did.interaction_weighted": ["interaction_weighted"],
    "did.spillover": ["spillover_effects"],
    "did.stacked": ["stacked_event_study"],
    "did.switching": ["switching_effects"],
    "did.two_way": ["two_way_fixed_effects"],
    "estimate": ["Check", "Estimate"],
    "inference.cluster": ["cluster"],
    "inference.conformal": ["conformal_interval", "conformal_test"],
    "inference.conley": ["conley"],
    "inference.conley_taber": ["conley_taber"],
    "inference.cross_fit_t": ["cross_fit_t_test"],
    "inference.ferman_pinto": ["ferman_pinto"],
    "inference.few_treated": ["few_treated"],
    "inference.mechanisms": ["MoveClusters", "PermuteSchedules", "RedrawDates", "RedrawPlaces"],
    "inference.multiple_testing": ["multiple_testing"],
    "inference.multiplier": ["multiplier_bootstrap"],
    "inference.placebo": ["placebo_test"],
    "inference.randomization": ["randomization_test"],
    "inference.randomization_interval": ["randomization_interval"],
    "inference.shared_noise": ["alvarez_ferman"],
    "inference.sign_change": ["sign_change_test"],
    "inference.wild": ["wild_bootstrap"],
    "panel": ["Event", "Panel"],
    "sensitivity.breakdown": ["breakdown"],
    "sensitivity.calibration": ["calibrate"],
    "sensitivity.event_dates": ["dates_sensitivity"],
    "sensitivity.honest": ["honest_bounds"],
    "sensitivity.lead_smoothness": ["lead_smoothness"],
    "sensitivity.leave_one_out": ["leave_one_out"],
    "sensitivity.peak_placebos": ["peak_matched_placebos"],
    "sensitivity.placebo_design": ["mask_treated"],
    "sensitivity.reclassification": ["reclassification_bounds"],
    "sensitivity.recording": ["recording_bounds"],
    "sensitivity.restrictions": ["monotone", "relative_magnitudes", "sign", "smoothness"],
    "sensitivity.specification": ["specification_curve"],
    "sensitivity.vintages": ["vintage_bounds"],
    "synth.augmented": ["augmented_synthetic_control"],
    "synth.balance": ["predictor_balance"],
    "synth.contamination": ["donor_events"],
    "synth.donor_sensitivity": ["leave_donors_out"],
    "synth.factor_model": ["factor_model"],
    "synth.prediction_intervals": ["prediction_intervals"],
    "synth.predictors": ["Predictor"],
    "synth.synthetic_control": ["synthetic_control"],
    "synth.synthetic_did": ["synthetic_did"],
    "synthesis.hierarchical": ["hierarchical_synthesis"],
    "synthesis.meta": ["synthesise"],
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["CrimepolicyError", *sorted(_LAZY)]  # noqa: PLE0604
__version__ = version("crimepolicy")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'crimepolicy' has no attribute {name!r}")
    return getattr(import_module(f"crimepolicy.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return __all__
