"""Scores of one pair or many by PySODMetrics 1.6.2, under codmoe's column names.

Needs: pip install pysodmetrics==1.6.2 numpy scipy scikit-image opencv-python-headless
"""

import warnings

import cv2
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


class DoubleContextMeasure(psm.ContextMeasure):
    """The reference filters the mask in float32; this is the same sum in float64."""

    def _forward_inference(self, X, Y, kernel):
        return (X > 0) * cv2.filter2D(Y.astype(np.float64), cv2.CV_64F, kernel)


def si_handlers():
    return {
        "": psm.FmeasureHandler(True, True, sample_based=False, beta=0.3),
        "sample_bi": psm.FmeasureHandler(False, False, with_binary=True, sample_based=True, beta=0.3),
        "overall_bi": psm.FmeasureHandler(False, False, with_binary=True, sample_based=False, beta=0.3),
    }


def three(key, adaptive, curve):
    curve = np.asarray(curve)
    return {"adp" + key: adaptive, "mean" + key: curve.mean(), "max" + key: curve.max()}


def read_si_fm(metric):
    values = metric.get_results()
    return {
        **three("si_fm", values[""]["adaptive"], values[""]["dynamic"]),
        "sample_bisi_fm": values["sample_bi"]["binary"],
        "overall_bisi_fm": values["overall_bi"]["binary"],
    }


def read_msiou(metric):
    values = metric.get_results()
    return {**three("msiou", values["adaptive"], values["dynamic"]), "sample_bimsiou": values["binary"]}


EXTENDED = [
    (psm.SizeInvarianceMAE, lambda metric: metric.get_results()),
    (DoubleContextMeasure, lambda metric: metric.get_results()),
    (psm.HumanCorrectionEffortMeasure, lambda metric: metric.get_results()),
    (lambda: psm.SizeInvarianceFmeasureV2(si_handlers()), read_si_fm),
    (lambda: psm.MSIoU(True, True, with_binary=True), read_msiou),
]


def extended_scores(pairs, metrics=None):
    """The scores of ScoreOptions::extended; without those of a metric that fails on one of the pairs."""
    warnings.simplefilter("ignore")
    result = {}
    for make, read in metrics or EXTENDED:
        metric = make()
        try:
            for pred, mask in pairs:
                metric.step(pred=pred, gt=mask)
        except (AssertionError, OverflowError, np.linalg.LinAlgError):
            continue
        result.update({key: float(value) for key, value in read(metric).items()})
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


def headline_scores(pairs):
    """S, E, F, weighted F, MAE and IoU alone, for timing."""
    warnings.simplefilter("ignore")
    metrics = [psm.MAE(), psm.Smeasure(), psm.WeightedFmeasure(), psm.Emeasure(), psm.Fmeasure(),
               psm.FmeasureV2({"iou": psm.IOUHandler(with_dynamic=True, with_adaptive=True, with_binary=False)})]
    for pred, mask in pairs:
        for metric in metrics:
            metric.step(pred=pred, gt=mask)
    return [metric.get_results() for metric in metrics]
