"""How fast uniqueness returns as the correlation of two tasks falls from 1. A few minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed

import mtrelu
from mtrelu.regime.correlation import CorrelatedTasks, correlated_tasks, fit_price

Data = tuple[np.ndarray, np.ndarray]

LINE = 1.0 - 10.0 ** -np.arange(9.0)
PLANE = 1.0 - 10.0 ** -np.arange(7.0)
TOL = 1e-6  # what `mtrelu.solve` proves unless it is asked for more
INSIDE, ENDS = "#1d5fa6", "#c2410c"
COLOURS = {"unique": "#2a9d8f", "undecided": "#d9dee3", "not unique": "#f4a259"}


def line(seed: int) -> Data:
    """Ten inputs about one apart, white labels."""
    rng = np.random.default_rng(seed)
    return (np.arange(10) + rng.uniform(-0.25, 0.25, 10))[:, np.newaxis], rng.standard_normal(10)


def gaussian(seed: int) -> Data:
    """Eight Gaussian points of the plane, white labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((8, 2)), rng.standard_normal(8)


def two_squares() -> Data:
    """The paper's: 0 on the outer square, 1 on the inner one."""
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    return np.vstack([square, 0.5 * square]), np.repeat([0.0, 1.0], 4)


def cells(name: str) -> Iterator[tuple[Data, np.ndarray, float, int]]:
    """Yield data, correlations, penalty and seed of each curve."""
    if name == "one input":
        yield from ((line(seed), LINE, 0.0, seed) for seed in range(20))
    elif name == "two squares":
        yield from ((two_squares(), PLANE[:-1], 1e-3, seed) for seed in range(3))
    else:
        yield from ((gaussian(seed), PLANE, 1e-3, seed) for seed in range(11))


def measure(data: Data, rho: np.ndarray, alpha: float, seed: int) -> CorrelatedTasks | None:
    """Return a curve, or None where one task alone has only one optimum."""
    try:
        return correlated_tasks(*data, rho, alpha=alpha, n_draws=1, random_state=seed)
    except mtrelu.InvalidInputError as error:
        if "no uniqueness to return" not in str(error):
            raise
        return None


def curves(name: str) -> list[CorrelatedTasks]:
    found = Parallel(n_jobs=-1)(delayed(measure)(*cell) for cell in cells(name))
    return [curve for curve in found if curve is not None]


def joined(found: list[CorrelatedTasks], entry: str) -> np.ndarray:
    """One column a curve."""
    return np.concatenate([getattr(curve, entry) for curve in found], axis=1)


def in_words(low: np.ndarray, high: np.ndarray) -> str:
    if np.median(low) == 0.0:  # the gaps of the solves leave nothing of it
        return f"< {np.median(high):.0e}"
    return f"{np.median(0.5 * (low + high)):.1e}"


def show(name: str, found: list[CorrelatedTasks]) -> None:
    """Print the rows of a design."""
    verdicts, widths = joined(found, "verdicts"), joined(found, "widths")
    low, high = joined(found, "price_low"), joined(found, "price_high")
    widths = widths / np.array([curve.high - curve.low for curve in found])
    for i, rho in enumerate(found[0].rho):
        counts = " / ".join(str(np.sum(verdicts[i] == verdict)) for verdict in COLOURS)
        known = widths[i][np.isfinite(widths[i])]
        width = f"{np.median(known):.2g}" if known.size else "–"
        price = " | ".join(in_words(low[i, :, q], high[i, :, q]) for q in (0, 1))
        print(f"| {name} | {1.0 - rho:.0e} | {counts} | {width} | {price} |")


def in_exponents(found: list[CorrelatedTasks], share: int) -> str:
    """Say the exponent of 1 − ρ, and the 1 − ρ at which the price is TOL, for firm curves."""
    low, high = joined(found, "price_low")[..., share], joined(found, "price_high")[..., share]
    firm = low[-1] > 0.0
    words = f"{np.sum(~firm)} of {firm.size} draws leave these values free, up to the gaps"
    if not firm.any():
        return words
    rate = fit_price(found[0].rho, low[:, firm], high[:, firm])
    interval = "" if np.isnan(rate.low) else f" (95 %: {-rate.high:.2f} … {-rate.low:.2f})"
    reached = (TOL / rate.constant) ** (-1.0 / rate.exponent)
    return f"exponent {-rate.exponent:.2f}{interval}, {TOL:g} at 1 − ρ = {reached:.1e}; {words}"


def draw_verdicts(axes: plt.Axes, designs: dict[str, list[CorrelatedTasks]]) -> None:
    """Draw for each design and correlation which shares of the draws got which verdict."""
    ticks = []
    for row, (name, found) in enumerate(designs.items()):
        verdicts = joined(found, "verdicts")
        left = -row * 1.35
        for i, rho in enumerate(found[0].rho):
            bottom = left
            for verdict, colour in COLOURS.items():
                share = float(np.mean(verdicts[i] == verdict))
                axes.bar(-np.log10(1.0 - rho), share, 0.82, bottom, color=colour)
                bottom += share
        ticks.append((left + 0.5, f"{name}\n({verdicts.shape[1]} draws)"))
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.set_xticks(range(9), [f"$10^{{-{k}}}$" if k else "1" for k in range(9)])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    axes.legend(
        handles, list(COLOURS), ncols=3, fontsize=8, frameon=False, loc="lower center",
        bbox_to_anchor=(0.45, -0.31),
    )  # fmt: skip
    axes.set_xlim(-0.6, 8.6)
    axes.set_xlabel("1 − correlation")
    axes.set_title("is there one optimal function? what is proved", fontsize=10)


def draw_prices(axes: plt.Axes, name: str, found: list[CorrelatedTasks]) -> None:
    """Draw both prices against 1 − ρ, a thin line a draw, with the laws."""
    away = 1.0 - found[0].rho
    low, high = joined(found, "price_low"), joined(found, "price_high")
    known = np.where(high - low <= 0.1 * high, 0.5 * (low + high), np.nan)
    # Where two tasks still leave the middle half free there is only the price of the ends.
    firm = low[-1, :, 0] > 0.0
    for q, share, colour, law, words, side in (
        (0, "middle half", INSIDE, 1.0, "1 − ρ", -1),
        (1, "whole range", ENDS, 0.5, "√(1 − ρ)", 1),
    ):
        print(f"{name}, any value of the {share}: {in_exponents(found, q)}")
        axes.loglog(away, known[:, firm, q], color=colour, lw=0.8, alpha=0.4)
        axes.loglog(away, known[:, ~firm, q], color=colour, lw=0.8, alpha=0.4, ls=(0, (4, 2)))
        if q == 0 and not firm.any():
            continue
        shown = known[:, firm, q] if firm.any() else known[..., q]
        middle = np.nanmedian(shown, axis=1)  # a few brackets can be too wide
        axes.loglog(away, middle, "o-", color=colour, lw=2, ms=4, label=f"any of the {share}")
        guide = np.array([away.min(), 1e-3])
        height = 4.0**side * middle[-1] * (guide / away[-1]) ** law
        axes.loglog(guide, height, ":", color="#1f2933", lw=1.2)
        axes.annotate(
            words, (np.sqrt(guide.prod()), np.sqrt(height.prod())), (0, 7 * side),
            textcoords="offset points", fontsize=9, ha="center" if side > 0 else "right",
            va="bottom" if side > 0 else "top",
        )  # fmt: skip
    if not firm.all():
        text = f"dashed: {np.sum(~firm)} of {firm.size} draws, which leave the middle half free"
        axes.text(0.03, 0.03, text, fontsize=8, color="#1f2933", transform=axes.transAxes)
    axes.axhline(TOL, color="#9aa5b1", lw=1, ls="--")
    axes.annotate(
        "relative accuracy of an optimiser", (1.3, TOL), (0, -10),
        textcoords="offset points", fontsize=8, color="#6b7785",
    )  # fmt: skip
    axes.set_xlim(1.5, 0.7e-8)
    axes.set_ylim(1e-10, 1.0)
    axes.set_xlabel("1 − correlation")
    axes.set_ylabel("cost above the optimum, relative")
    axes.set_title(f"{name}: the price of another optimum of one task", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def draw(designs: dict[str, list[CorrelatedTasks]]) -> plt.Figure:
    figure, axes = plt.subplots(2, 2, figsize=(10.4, 7.6), layout="constrained")
    draw_verdicts(axes[0, 0], designs)
    for panel, (name, found) in zip(axes.flat[1:], designs.items(), strict=True):
        draw_prices(panel, name, found)
    axes[0, 1].legend(fontsize=8, frameon=False, loc="lower left")
    return figure


def main() -> None:
    designs = {name: curves(name) for name in ("one input", "two squares", "two inputs")}
    print("| design | 1 − ρ | unique / undecided / not | width left | middle half | whole range |")
    print("|---|---|---|---|---|---|")
    for name, found in designs.items():
        show(name, found)
    print()
    figure = draw(designs)
    figure.savefig(Path(__file__).parent.parent / "docs" / "correlated_tasks.png", dpi=100)


if __name__ == "__main__":
    main()
