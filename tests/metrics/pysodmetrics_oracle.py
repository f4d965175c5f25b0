"""Scores of one pair or many by PySODMetrics 1.6.2, under codmoe's column names.

Needs: pip install pysodmetrics==1.6.2 numpy scipy scikit-image opencv-python-headless
"""

import warnings

import numpy as np
import py_sod_metrics as psm

HANDLERS = {
    "iou": psm.IOUHandler, "dice": psm.DICEHandler, "pre": psm.PrecisionHandler, "rec": psm.RecallHandler,
    "spec": psm.SpecificityHandler, "fpr": psm.FPRHandler, "ber": psm.BERHandler,
    "oa": psm.OverallAccuracyHandler, "kappa": psm.KappaHandler,
}


def handlers():
    result = {}
    for mode, flags in {
        "": dict(with_dynamic=True, with_adaptive=True),
        "sample_bi": dict(with_dynamic=False, with_adaptive=False, with_binary=True, sample_based=True),
        "overall_bi": dict(with_dynamic=False, with_adaptive=False, with_binary=True, sample_based=False),
    }.items():
        result.update({mode + key: handler(**flags) for key, handler in HANDLERS.items()})
        result[mode + "fm"] = psm.FmeasureHandler(**flags, beta=0.3)
        result[mode + "f1"] = psm.FmeasureHandler(**flags, beta=1)
    return result


def scores(pairs):
    """Scores of uint8 pairs (prediction, mask) as one dataset, and its mean curves by ascending threshold."""
    warnings.simplefilter("ignore")
    mae, sm, wfm, em, fm = psm.MAE(), psm.Smeasure(), psm.WeightedFmeasure(), psm.Emeasure(), psm.Fmeasure()
    fmv2 = psm.FmeasureV2(metric_handlers=handlers())
    for pred, mask in pairs:
        for metric in (mae, sm, wfm, em, fm, fmv2):
            metric.step(pred=pred, gt=mask)
    result = {
        "Smeasure": sm.get_results()["sm"],
        "wFmeasure": wfm.get_results()["wfm"],
        "MAE": mae.get_results()["mae"],
    }
    curves = {}

    def add(key, adaptive, curve):
        result["adp" + key] = adaptive
        result["mean" + key] = curve.mean()
        result["max" + key] = curve.max()
        curves[key] = np.flip(curve)

    add("Em", em.get_results()["em"]["adp"], em.get_results()["em"]["curve"])
    add("Fm", fm.get_results()["fm"]["adp"], fm.get_results()["fm"]["curve"])
    values = fmv2.get_results()
    result["IoU"] = values["sample_biiou"]["binary"]
    for key in ["fm", "f1", *HANDLERS]:
        if key != "fm":
            add(key, values[key]["adaptive"], values[key]["dynamic"])
        for mode in ("sample_bi", "overall_bi"):
            result[mode + key] = values[mode + key]["binary"]
    return {key: float(value) for key, value in result.items()}, curves
