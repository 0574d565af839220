"""Figure 9: along a line, the outputs of the multi-task student are no ReLU ridge functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, RED, plain
from mtrelu.network import ReLUNetwork
from mtrelu.paper._student_teacher import (
    DESIGN,
    FULL,
    N_TASKS,
    PROVED,
    PROVED_REASON,
    QUICK,
    along,
    directions,
    distance,
    fresh_points,
    optimum,
    ridge_distance,
    teachers,
    train,
    without_network,
)
from mtrelu.paper.claim import Claim
from mtrelu.paper.figure import Data, Figure, Progress, Settings, canvas
from mtrelu.paper.readings import DIFFERENT

PLACE = "Appendix B.2, Figure 9"
SHOWN = 12

CLAIMS = (
    DIFFERENT(
        "no ridge functions, trained",
        "Along a line, the outputs of the trained multi-task network look very different from a "
        "ReLU ridge function, and that does not depend on the direction.",
        PLACE,
        "median over the tasks of the root mean square distance to the nearest function "
        "c + a(s − b)₊ or c + a(b − s)₊, relative to the function's own variation; open where "
        "training has not become stationary",
        "trained.directions[*].ridge",
    ),
    DIFFERENT(
        "no ridge functions, optimum",
        "The same of the global optimum.",
        PLACE,
        "the same of the certified optimum; open where it is not proved",
        "optimum.directions[*].ridge",
    ),
    DIFFERENT(
        "teachers not recovered, trained",
        "The trained multi-task network does not recover the teachers.",
        PLACE,
        "median over the tasks of the root mean square distance to the teacher along a line, "
        "relative to the teacher; open where training has not become stationary",
        "trained.directions[*].teacher",
    ),
    DIFFERENT(
        "teachers not recovered, optimum",
        "The same of the global optimum.",
        PLACE,
        "the same of the certified optimum; open where it is not proved",
        "optimum.directions[*].teacher",
    ),
    DIFFERENT(
        "not on fresh data either",
        "The global optimum is no teacher on new inputs of the same kind.",
        "follows from Figure 9",
        "median over the tasks of the root mean square distance to the teacher on 2,000 Gaussian "
        "points, relative to the teacher; open where the optimum is not proved",
        "optimum.fresh",
    ),
    Claim(
        "optimum proved",
        "What is called the optimum is one.",
        "not in the paper",
        "certified relative duality gap",
        "optimum.gap",
        "at most", PROVED, PROVED_REASON,
    ),
)  # fmt: skip


def measure(settings: Settings, n_seeds: int, progress: Progress, kept: Path) -> Data:
    """Train and solve the same problem, and look at both along lines."""
    X, Y = DESIGN.draw(N_TASKS, 0)
    s = np.linspace(-3.0, 3.0, settings["grid"])
    found = optimum(X, Y)
    progress(1, 2)
    run = train(Y, [0], settings, kept)[0]
    progress(2, 2)
    lines = directions(settings["directions"])
    first = {
        name: None if network is None else along(network, lines[0], s).T
        for name, network in (
            ("trained", run["network"]), ("optimum", found["network"]),
            ("teacher", teachers(N_TASKS)),
        )
    }  # fmt: skip
    return {
        "s": s,
        "line": lines[0],
        "values": first,
        "trained": without_network(run) | _judged(run["network"], lines, s, run["converged"]),
        "optimum": without_network(found) | _judged(found["network"], lines, s, found["proved"]),
    }


def _judged(network: ReLUNetwork | None, lines: np.ndarray, s: np.ndarray, valid: bool) -> Data:
    """What is measured; None throughout where the network settles nothing."""
    if network is None or not valid:
        return {"directions": [{"ridge": None, "teacher": None} for _ in lines], "fresh": None}
    truth, points = teachers(network.n_tasks), fresh_points()
    rows = []
    for line in lines:
        values = along(network, line, s)
        ridges = [ridge_distance(s, each) for each in values.T]
        off = distance(values, along(truth, line, s))
        rows.append(
            {"ridge": np.median(ridges), "ridges": ridges,
             "teacher": np.median(off), "teachers": off}
        )  # fmt: skip
    return {"directions": rows, "fresh": np.median(distance(network(points), truth(points)))}


def draw(data: Data) -> Any:
    """Draw tasks along one direction: trained network, certified optimum and teacher."""
    figure = canvas((10.0, 6.2))
    panels = figure.subplots(3, SHOWN // 3, sharex=True, sharey=True).ravel()
    s = np.array(data["s"])
    for t, axes in enumerate(panels):
        for name, colour, width, style in (
            ("teacher", GREY, 2.6, "-"), ("optimum", RED, 1.4, "-"),
            ("trained", BLUE, 1.4, (0, (4, 2))),
        ):  # fmt: skip
            if data["values"][name] is not None:
                axes.plot(s, data["values"][name][t], color=colour, lw=width, ls=style,
                          label={"optimum": "certified optimum"}.get(name, name))  # fmt: skip
        axes.set_title(f"task {t + 1}", fontsize=8.5, color=INK)
        plain(axes)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    figure.supxlabel("along the direction, s", fontsize=9)
    return figure


FIGURE = Figure(
    name="fig9",
    title="Figure 9: the multi-task student along a direction",
    description="The 25-output student of Figure 8 along lines through the origin. A ReLU ridge "
    "function is flat on one side of one kink there; what it is not is measured as the distance to "
    "the nearest such function, wherever its kink is. The paper draws one direction and says that "
    "others look alike: here several are measured.",
    caption="The first twelve of 25 outputs along one direction at random; teachers in grey.",
    claims=CLAIMS,
    quick={**QUICK, "grid": 241, "directions": 10},
    full={**FULL, "grid": 601, "directions": 100},
    measure=measure,
    draw=draw,
)  # fmt: skip
