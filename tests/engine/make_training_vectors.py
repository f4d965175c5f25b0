"""Writes data/optimizers.safetensors, data/schedules.safetensors and data/ema.safetensors: what torch.optim,
torch.optim.lr_scheduler and timm's ModelEmaV3 give, in float64.

Usage: python make_training_vectors.py      (needs PyTorch and timm)
optimizers: gradients.matrix [steps, 2, 3], gradients.vector [steps, 3], start.*, factors [steps], and NAME.matrix,
NAME.vector at the end. schedules: NAME [steps], factors on a learning rate of 1. ema: values [steps, 4], NAME [steps, 4].
"""

import sys
import warnings
from pathlib import Path

import timm.utils
import torch
from torch.optim import lr_scheduler

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from vectors_file import save  # noqa: E402

STEPS = 7
# The C++ tests have the same tables.
OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, dict(betas=(0.8, 0.95), eps=1e-6)),
    "sgd_plain": (torch.optim.SGD, dict(momentum=0.0)),
    "sgd_momentum": (torch.optim.SGD, dict(momentum=0.9)),
    "sgd_nesterov": (torch.optim.SGD, dict(momentum=0.7, nesterov=True)),
}
RATE, BACKBONE_RATE, DECAY = 0.1, 0.03, 0.05

# 60 steps, 6 an epoch; without warmup.
TOTAL, EPOCH = 60, 6
SCHEDULES = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL - 1, eta_min=0.05),
    "poly": lambda o: lr_scheduler.PolynomialLR(o, total_iters=TOTAL, power=0.9),
    "step": lambda o: lr_scheduler.MultiStepLR(o, milestones=[3 * EPOCH, 7 * EPOCH], gamma=0.2),
    "one_cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=TOTAL, pct_start=0.25, div_factor=20,
                                                   final_div_factor=500, cycle_momentum=False),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=2 * EPOCH, T_mult=2, eta_min=0.1),
}


def optimizers():
    g = torch.Generator().manual_seed(3)
    drawn = {"gradients.matrix": torch.randn(STEPS, 2, 3, generator=g, dtype=torch.float64),
             "gradients.vector": torch.randn(STEPS, 3, generator=g, dtype=torch.float64),
             "start.matrix": torch.randn(2, 3, generator=g, dtype=torch.float64),
             "start.vector": torch.randn(3, generator=g, dtype=torch.float64),
             "factors": torch.linspace(1.0, 0.1, STEPS, dtype=torch.float64)}
    tensors = dict(drawn)
    for name, (kind, more) in OPTIMIZERS.items():
        matrix = drawn["start.matrix"].clone().requires_grad_()
        vector = drawn["start.vector"].clone().requires_grad_()
        optimizer = kind([{"params": [matrix], "lr": RATE, "weight_decay": DECAY},
                          {"params": [vector], "lr": BACKBONE_RATE, "weight_decay": 0.0}], lr=RATE, **more)
        for step in range(STEPS):
            for group, rate in zip(optimizer.param_groups, (RATE, BACKBONE_RATE)):
                group["lr"] = rate * drawn["factors"][step].item()
            matrix.grad, vector.grad = drawn["gradients.matrix"][step], drawn["gradients.vector"][step]
            optimizer.step()
        tensors.update({f"{name}.matrix": matrix, f"{name}.vector": vector})
    save(HERE / "data" / "optimizers.safetensors", tensors)


def schedules():
    tensors = {}
    for name, make in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule = make(optimizer)
        rates = []
        for _ in range(TOTAL):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        tensors[name] = torch.tensor(rates, dtype=torch.float64)
    save(HERE / "data" / "schedules.safetensors", tensors)


def averages():
    g = torch.Generator().manual_seed(5)
    values = torch.randn(STEPS + 1, 4, generator=g, dtype=torch.float64)
    tensors = {"values": values}
    for name, warmup in (("constant", False), ("warmup", True)):
        model = torch.nn.BatchNorm1d(4).double()
        with torch.no_grad():
            model.weight.copy_(values[0])
            model.running_mean.copy_(-values[0])
        ema = timm.utils.ModelEmaV3(model, decay=0.7, use_warmup=warmup)
        weights, means = [], []
        for n in range(1, STEPS + 1):
            with torch.no_grad():
                model.weight.copy_(values[n])
                model.running_mean.copy_(-values[n])
                model.num_batches_tracked += 1
            ema.update(model, step=n)
            weights.append(ema.module.weight.detach().clone())
            means.append(ema.module.running_mean.clone())
        tensors.update({f"{name}.weight": torch.stack(weights), f"{name}.running_mean": torch.stack(means),
                        f"{name}.num_batches_tracked": ema.module.num_batches_tracked.clone()})
    save(HERE / "data" / "ema.safetensors", tensors)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    optimizers()
    schedules()
    averages()
