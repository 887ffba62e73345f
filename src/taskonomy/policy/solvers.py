"""Two solvers with one interface: they read the LP file once, then take budgets, bounds and cuts without reading it again."""

import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from taskonomy.errors import TaskonomyError


class Status(Enum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # stopped by the time limit, with a solution
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"  # stopped by the time limit, without a solution


@dataclass(frozen=True)
class Cut:
    """An additional constraint: sum of coefficient * variable >= least."""

    coefficients: dict[str, float]
    least: float


@dataclass(frozen=True)
class Weights:
    """The coefficients in which programs of one form differ: those of the objective and of the budget's row."""

    objective: dict[str, float]
    budget: dict[str, float]


@dataclass(frozen=True)
class Solution:
    """What a solver found; it proved that no solution exceeds `bound`."""

    status: Status
    bound: float
    seconds: float
    values: dict[str, float] = field(default_factory=dict)


class MilpSolver(ABC):
    """A solver with one program loaded. Solves are independent: none depends on earlier ones."""

    _weights: Weights | None = None  # None: the weights of the LP file

    def solve(self, weights: Weights, allowed: float, bounds: dict[str, int], cuts: tuple[Cut, ...], seconds: float) -> Solution:
        """Maximise with at most `allowed` in the budget's row, some binaries fixed by `bounds`, additional cuts, and a time limit in seconds."""
        started = time.perf_counter()
        if self._weights is None or self._weights.objective is not weights.objective:
            self._weigh(weights.objective)
        if self._weights is None or self._weights.budget != weights.budget:
            self._price(weights.budget)
        self._weights = weights
        status, bound, values = self._solve(allowed, bounds, cuts, seconds)
        return Solution(status, bound, time.perf_counter() - started, values)

    @abstractmethod
    def _weigh(self, objective: dict[str, float]) -> None: ...

    @abstractmethod
    def _price(self, budget: dict[str, float]) -> None: ...

    @abstractmethod
    def _solve(self, budget: float, bounds: dict[str, int], cuts: tuple[Cut, ...], seconds: float) -> tuple[Status, float, dict[str, float]]: ...


class Glpk(MilpSolver):
    """GLPK 5 in process, through swiglpk, which aborts the process when misused, so each index is checked before it is passed on."""

    def __init__(self, lp: str, budget_row: str) -> None:
        import swiglpk as glpk

        self._glpk: Any = glpk
        glpk.glp_term_out(glpk.GLP_OFF)
        self._problem = glpk.glp_create_prob()
        with tempfile.TemporaryDirectory(prefix="taskonomy-") as folder:
            path = Path(folder) / "program.lp"
            path.write_text(lp)
            if glpk.glp_read_lp(self._problem, None, str(path)) != 0:
                raise RuntimeError("GLPK could not read the program that Pyomo wrote")
        glpk.glp_create_index(self._problem)
        self._columns = {glpk.glp_get_col_name(self._problem, j): j for j in range(1, glpk.glp_get_num_cols(self._problem) + 1)}
        self._rows = glpk.glp_get_num_rows(self._problem)
        self._budget = glpk.glp_find_row(self._problem, budget_row)
        if self._budget == 0:
            raise RuntimeError(f"the program has no row {budget_row}")

    def __del__(self) -> None:
        if hasattr(self, "_problem"):
            self._glpk.glp_delete_prob(self._problem)

    def _weigh(self, objective: dict[str, float]) -> None:
        for name, value in objective.items():
            self._glpk.glp_set_obj_coef(self._problem, self._columns[name], value)

    def _price(self, budget: dict[str, float]) -> None:
        self._set_row(self._budget, budget)

    def _solve(self, budget: float, bounds: dict[str, int], cuts: tuple[Cut, ...], seconds: float) -> tuple[Status, float, dict[str, float]]:
        glpk, problem = self._glpk, self._problem
        glpk.glp_set_row_bnds(problem, self._budget, glpk.GLP_UP, 0.0, budget)
        for name, value in bounds.items():
            glpk.glp_set_col_bnds(problem, self._columns[name], glpk.GLP_FX, value, value)
        for cut in cuts:
            self._add(cut)
        try:
            return self._optimise(seconds)
        finally:
            for name in bounds:
                glpk.glp_set_col_bnds(problem, self._columns[name], glpk.GLP_DB, 0.0, 1.0)
            if cuts:
                rows = glpk.intArray(len(cuts) + 1)
                for number in range(len(cuts)):
                    rows[number + 1] = self._rows + number + 1
                glpk.glp_std_basis(problem)
                glpk.glp_del_rows(problem, len(cuts), rows)

    def _add(self, cut: Cut) -> None:
        row = self._glpk.glp_add_rows(self._problem, 1)
        self._set_row(row, cut.coefficients)
        self._glpk.glp_set_row_bnds(self._problem, row, self._glpk.GLP_LO, cut.least, 0.0)

    def _set_row(self, row: int, coefficients: dict[str, float]) -> None:
        glpk, size = self._glpk, len(coefficients)
        columns, values = glpk.intArray(size + 1), glpk.doubleArray(size + 1)
        for number, (name, coefficient) in enumerate(coefficients.items(), start=1):
            columns[number], values[number] = self._columns[name], coefficient
        glpk.glp_set_mat_row(self._problem, row, size, columns, values)

    def _optimise(self, seconds: float) -> tuple[Status, float, dict[str, float]]:
        glpk, problem = self._glpk, self._problem
        started = time.perf_counter()
        relaxed = glpk.glp_smcp()
        glpk.glp_init_smcp(relaxed)
        relaxed.tm_lim = _milliseconds(seconds)
        glpk.glp_std_basis(problem)
        if (code := glpk.glp_simplex(problem, relaxed)) not in (0, glpk.GLP_ETMLIM):
            raise TaskonomyError(f"GLPK failed on the relaxed program (code {code}); try policy.solver: highs")
        if code == glpk.GLP_ETMLIM:
            return Status.UNKNOWN, float("inf"), {}
        if glpk.glp_get_status(problem) != glpk.GLP_OPT:
            # On degenerate programs the simplex has called a feasible one infeasible; believe it only if the presolver says so too.
            relaxed.presolve = glpk.GLP_ON
            if glpk.glp_simplex(problem, relaxed) != 0 or glpk.glp_get_status(problem) != glpk.GLP_OPT:
                return Status.INFEASIBLE, float("nan"), {}
        bound = glpk.glp_get_obj_val(problem)
        control = glpk.glp_iocp()
        glpk.glp_init_iocp(control)
        control.tm_lim = _milliseconds(seconds - (time.perf_counter() - started))
        control.cov_cuts = glpk.GLP_ON
        # Branch on sources, whose columns are the last ones: once they are fixed, the transfers nearly are. Where label costs are not whole
        # numbers, GLPK's own choice takes up to twenty times as long.
        control.br_tech = glpk.GLP_BR_LFV
        control.tol_obj = 1e-12  # prune only what cannot be better; the default would lose solutions better by a millionth
        code = glpk.glp_intopt(problem, control)
        found = glpk.glp_mip_status(problem)
        if code not in (0, glpk.GLP_ETMLIM):
            raise TaskonomyError(f"GLPK failed on the Boolean program (code {code}); try policy.solver: highs")
        if found == glpk.GLP_NOFEAS and code == 0:
            return Status.INFEASIBLE, float("nan"), {}
        if found not in (glpk.GLP_OPT, glpk.GLP_FEAS):
            return Status.UNKNOWN, bound, {}
        values = {name: glpk.glp_mip_col_val(problem, j) for name, j in self._columns.items()}
        if code == 0 and found == glpk.GLP_OPT:
            return Status.OPTIMAL, glpk.glp_mip_obj_val(problem), values
        return Status.FEASIBLE, bound, values  # the relaxation's optimum stays a proved bound


class Highs(MilpSolver):
    """HiGHS in process. Its default gap of 1e-4 is set to 0."""

    def __init__(self, lp: str, budget_row: str) -> None:
        import highspy

        class Quiet(highspy.Highs):
            """A solver without HiGHS's banner, which would otherwise end up in the output of `--json`."""

            def enableCallbacks(self) -> None:  # noqa: N802, the name is HiGHS's
                self.setOptionValue("output_flag", False)
                super().enableCallbacks()

        self._highspy: Any = highspy
        self._solver = Quiet()
        for option, value in (("mip_rel_gap", 0.0), ("mip_abs_gap", 0.0), ("threads", 1), ("random_seed", 0)):
            self._solver.setOptionValue(option, value)
        with tempfile.TemporaryDirectory(prefix="taskonomy-") as folder:
            path = Path(folder) / "program.lp"
            path.write_text(lp)
            # A warning (costs below 1e-9 of the highest are dropped from the budget's row) is harmless: every solve sets that row anew.
            if self._solver.readModel(str(path)) == highspy.HighsStatus.kError:
                raise RuntimeError("HiGHS could not read the program that Pyomo wrote")
        self._names = list(self._solver.allVariableNames())
        self._columns = {name: number for number, name in enumerate(self._names)}
        self._rows = self._solver.getNumRow()
        status, self._budget = self._solver.getRowByName(budget_row)
        if status != highspy.HighsStatus.kOk:
            raise RuntimeError(f"the program has no row {budget_row}")

    def _weigh(self, objective: dict[str, float]) -> None:
        for name, value in objective.items():
            self._solver.changeColCost(self._columns[name], value)

    def _price(self, budget: dict[str, float]) -> None:
        for name, value in budget.items():
            self._solver.changeCoeff(self._budget, self._columns[name], value)

    def _solve(self, budget: float, bounds: dict[str, int], cuts: tuple[Cut, ...], seconds: float) -> tuple[Status, float, dict[str, float]]:
        import numpy as np

        highspy, solver = self._highspy, self._solver
        solver.clearSolver()
        solver.changeRowBounds(self._budget, -highspy.kHighsInf, budget)
        for name, value in bounds.items():
            solver.changeColBounds(self._columns[name], value, value)
        for cut in cuts:
            columns = np.array([self._columns[name] for name in cut.coefficients], dtype=np.int32)
            solver.addRow(cut.least, highspy.kHighsInf, len(columns), columns, np.array(list(cut.coefficients.values())))
        solver.setOptionValue("time_limit", max(0.0, float(seconds)))
        try:
            solver.run()
            return self._outcome()
        finally:
            for name in bounds:
                solver.changeColBounds(self._columns[name], 0.0, 1.0)
            if cuts:
                solver.deleteRows(len(cuts), np.arange(self._rows, self._rows + len(cuts), dtype=np.int32))

    def _outcome(self) -> tuple[Status, float, dict[str, float]]:
        highspy, solver = self._highspy, self._solver
        ended, info = solver.getModelStatus(), solver.getInfo()
        if ended in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            return Status.INFEASIBLE, float("nan"), {}
        if ended not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            raise TaskonomyError(f"HiGHS stopped with {solver.modelStatusToString(ended)}; try policy.solver: glpk")
        if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return Status.UNKNOWN, info.mip_dual_bound, {}
        values = dict(zip(self._names, solver.getSolution().col_value, strict=True))
        status = Status.OPTIMAL if ended == highspy.HighsModelStatus.kOptimal else Status.FEASIBLE
        return status, info.mip_dual_bound, values


_SOLVERS: dict[str, type[Glpk] | type[Highs]] = {"glpk": Glpk, "highs": Highs}


def load_program(name: str, lp: str, budget_row: str) -> MilpSolver:
    """Create the solver of that name with the program loaded."""
    return _SOLVERS[name](lp, budget_row)


def _milliseconds(seconds: float) -> int:
    return max(1, min(int(seconds * 1000), 2**31 - 1))
