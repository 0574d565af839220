"""
How good is the network you trained?
====================================

Train a network in PyTorch as always, then ask for a proof: how much lower could the training
objective be, with any number of neurons, any seed, any optimiser?
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch

import mtrelu

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-2.0, 2.0, 60))
Y = np.column_stack([np.abs(x), np.maximum(x, 0.0) - 0.5 * np.maximum(x - 1.0, 0.0)])
Y += 0.1 * rng.standard_normal(Y.shape)

# %%
# Your network and your training loop: one hidden ReLU layer, a linear skip connection, Adam, and
# weight decay on the weights of both layers, neither on biases nor on the skip connection.


class Mine(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(1, 50)
        self.output = torch.nn.Linear(50, 2, bias=False)
        self.skip = torch.nn.Linear(1, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(inputs))) + self.skip(inputs)


WEIGHT_DECAY = 0.01
torch.manual_seed(0)
mine = Mine()
decayed = [mine.hidden.weight, mine.output.weight]
others = [mine.hidden.bias, *mine.skip.parameters()]
adam = torch.optim.Adam(
    [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others}], lr=3e-3
)
inputs, labels = torch.tensor(x[:, None]).float(), torch.tensor(Y).float()

# %%
# `mtrelu.certify` takes the module as it is. It returns the objective and a number below which no
# network of any width can get: asked every hundred steps, it tells how far there is still to go.

alpha = mtrelu.alpha_from_weight_decay(WEIGHT_DECAY, *Y.shape)
steps, certificates = [], []
for step in range(4001):
    if step % 100 == 0:
        steps.append(step)
        certificates.append(mtrelu.certify(mine, x, Y, alpha))
    adam.zero_grad()
    torch.nn.functional.mse_loss(mine(inputs), labels).backward()
    adam.step()
last = certificates[-1]
print(last.in_words(), "\n")

# %%
# The optimum itself takes milliseconds, and the certificate was right: the gap that it left open is
# an upper bound of the distance to it.

solution = mtrelu.solve(x, Y, alpha)
best = solution.certificate.primal
print(f"after {steps[-1]} steps {last.primal:.4f}, optimum {best:.4f}, proved {last.dual:.4f}")
print(f"neurons: you took {mine.hidden.out_features}, {solution.network.n_neurons} are enough")

# %%
# Left, both networks; right, what was proved as training went on, and what was true.

figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 3.8), layout="constrained")
grid = np.linspace(-2.2, 2.2, 400)
trained, optimal = mtrelu.as_network(mine)(grid), solution.network(grid)
for task, colour in enumerate(("#c2410c", "#1d5fa6")):
    left.plot(x, Y[:, task], ".", color=colour, alpha=0.5)
    left.plot(
        grid, optimal[:, task], color=colour, lw=4, alpha=0.3, label=f"optimal, task {task + 1}"
    )
    left.plot(grid, trained[:, task], color=colour, lw=1.2, label=f"trained, task {task + 1}")
left.set(xlabel="x", title="the networks")
left.legend(frameon=False, fontsize=8)

primal = np.array([each.primal for each in certificates])
proved = np.array([each.relative_gap for each in certificates])
right.semilogy(steps, proved, color="#1d5fa6", label="proved: no more than this to gain")
right.semilogy(
    steps, (primal - best) / primal, color="#c2410c", label="true: distance to the optimum"
)
right.set(xlabel="step of Adam", title="share of the objective that could still be gained")
right.legend(frameon=False, fontsize=8)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
