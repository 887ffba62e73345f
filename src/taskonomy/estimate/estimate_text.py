"""An estimate of a run as text."""

from taskonomy.estimate.estimate import AT_PEAK, GPU, RunEstimate


def render(plan: RunEstimate) -> str:
    """Format an estimate for people to read before they start a run."""
    units, images = plan.units, plan.images
    named = [f"{name} x{count}" if count > 1 else name for name, count in plan.stages.items() if count]
    by_order = ", ".join(f"{count:,} of order {order}" for order, count in units.transfers.items())
    lines = [
        f"plan of {plan.where}",
        f"stages      {sum(plan.stages.values()):,}: {', '.join(named)}",
        f"units       {'' if units.exact else 'at most '}{units.total:,}: {units.networks} task networks and {units.constants} best constants,",
        f"            {units.scratch} from scratch, transfers {by_order}"
        + (f", {units.variants + units.steps} of transfer.variants" if units.variants else ""),
        "images      " + ", ".join(f"{split} {count:,}" for split, count in images.of.items()) + f" ({images.known})",
        "disk        "
        + f"{human(sum(size for what, size in plan.disk.items() if not what.startswith('read')))} in the workspace and the store of units;"
        " DVC's cache takes the workspace's as much again, unless it links",
        *(f"  {what:<38}{human(size):>10}" for what, size in plan.disk.items()),
    ]
    if plan.hours:
        lines += [
            f"memory      about {human(plan.memory or 0)} for the largest process; {plan.cores} at once",
            f"time        about {clock(plan.seconds)} on {plan.cores} {'cores' if plan.cores > 1 else 'core'} here; {plan.measured}",
            *(f"  {one.what:<28}{one.count:>12,}{clock(one.seconds):>16} of one process" for one in plan.hours),
            f"GPU         about {plan.gpu_hours:,.1f} hours of one {GPU} at {AT_PEAK:.0%} of its bfloat16 peak",
        ]
    else:
        lines.append("time        not measured; without --no-calibration, in half a minute")
    return "\n".join([*lines, *(f"note        {one}" for one in plan.warnings)])


def human(size: float) -> str:
    """Format a number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def clock(seconds: float) -> str:
    """Format a duration in seconds."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.0f} h" if seconds < 100 * 3600 else f"{seconds / 86400:,.0f} days"
