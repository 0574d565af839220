"""
Take it elsewhere: ONNX, PyTorch, a file, a table
=================================================

A fitted model is an ordinary network. Here it is exported to ONNX and run without mtrelu, handed to
PyTorch and back, saved without pickle, and written down as a table.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
import torch

import mtrelu
from mtrelu import ReLURegressor, coefficient_table, load_model, save_model, to_onnx, to_torch
from mtrelu.datasets import load_macrodata

# %%
# Unemployment and the interest rate over fifty years. Years are counted from 1984: numbers that are
# large against their spread lose digits in float32, which most runtimes prefer.

data = load_macrodata()
X = pd.DataFrame({"years since 1984": data.X[:, 0] - 1984.0})
Y = pd.DataFrame(data.Y, columns=data.tasks)[["unemp", "tbilrate"]]
model = ReLURegressor(alpha=20.0).fit(X, Y)
print(f"{model.status_.value}, {model.network_.n_neurons} knots")

# %%
# ONNX
# ----
# The file knows the names of its columns and carries the certificate along.

predictions = model.predict(X)
outputs = {}
with tempfile.TemporaryDirectory() as folder:
    for dtype in ("float64", "float32"):
        path = Path(folder) / f"{dtype}.onnx"
        to_onnx(model, path, dtype=dtype)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (outputs[dtype],) = session.run(["Y"], {"X": X.to_numpy(dtype)})
        about = session.get_modelmeta().custom_metadata_map
        print(f"{path.name}, {path.stat().st_size} bytes, {about['conclusion']}")
    print("outputs", json.loads(about["outputs"]), "\n")

    # %%
    # PyTorch and a file
    # ------------------

with tempfile.TemporaryDirectory() as folder:
    save_model(Path(folder) / "model.safetensors", model)
    loaded = load_model(Path(folder) / "model.safetensors")
module = to_torch(model)
print("loaded predicts the same bits:", np.array_equal(loaded.predict(X), predictions))
with torch.no_grad():
    of_torch = module(torch.tensor(X.to_numpy())).numpy()
print(f"PyTorch differs by {np.abs(of_torch - predictions).max():.0e}")
print("and back:", mtrelu.as_network(module).same_function(model.network_), "\n")

# %%
# A table
# -------
# A straight line, and a change of slope at every knot.

print(pd.DataFrame(coefficient_table(model)).round(3).to_string(index=False))

# %%
# The same curves from mtrelu and from onnxruntime, and how far apart they are: rounding.

figure, (above, below) = plt.subplots(
    2, 1, figsize=(8.0, 5.6), layout="constrained", sharex=True, height_ratios=[2, 1]
)
years = data.X[:, 0]
for task, (name, colour) in enumerate(zip(Y, ("#c2410c", "#1d5fa6"), strict=True)):
    above.plot(years, Y[name], ".", color=colour, alpha=0.35, ms=4)
    above.plot(years, predictions[:, task], color=colour, lw=4, alpha=0.35, label=f"{name}, mtrelu")
    above.plot(
        years, outputs["float64"][:, task], color=colour, lw=1.2, label=f"{name}, onnxruntime"
    )
above.set(ylabel="per cent")
above.legend(frameon=False, fontsize=8, ncols=2)
for dtype, colour in (("float32", "#9aa5b1"), ("float64", "#1f2933")):
    difference = np.abs(outputs[dtype] - predictions).max(axis=1)
    below.semilogy(years, np.maximum(difference, 1e-17), ".", color=colour, label=dtype)
below.set(xlabel="year", ylabel="difference")
below.legend(frameon=False, fontsize=8)
for axes in (above, below):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
