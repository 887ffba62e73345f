"""An estimate of a run as text."""

from taskonomy.data.count_labels import table
from taskonomy.estimate.estimate import AT_PEAK, GPU, RunEstimate
from taskonomy.machine.terminal import byte_size, rough_duration, text_table


def render(plan: RunEstimate) -> str:
    """Format an estimate for people to read before they start a run."""
    units, images = plan.units, plan.images
    named = [f"{name} x{count}" if count > 1 else name for name, count in plan.stages.items() if count]
    by_order = ", ".join(f"{count:,} of order {order}" for order, count in units.transfers.items())
    lines = [
        f"plan of {plan.where}",
        f"stages      {sum(plan.stages.values()):,}: {', '.join(named)}",
        f"units       {'' if units.exact else 'at most '}{units.total:,}: {units.networks} task networks and {units.constants} best constants,",
        f"            {units.scratch} from scratch, {units.scratch} on pixels, {units.scratch} constants of the same images, transfers {by_order}"
        + (f", {units.variants + units.steps} of transfer.variants" if units.variants else "")
        + (f", {units.of_amounts:,} of smaller amounts" if units.amounts else ""),
        "images      " + ", ".join(f"{split} {count:,}" for split, count in images.of.items()) + f" ({images.known})",
        *_indented_text(table(plan.labelled) if plan.labelled else ""),
        "disk        "
        + f"{byte_size(sum(size for what, size in plan.disk.items() if not what.startswith('read')))} in the workspace and the store of units;"
        " DVC's cache takes the workspace's as much again, unless it links",
        *_indented([(what, byte_size(size)) for what, size in plan.disk.items()]),
    ]
    if plan.hours:
        lines += [
            f"memory      about {byte_size(plan.memory or 0)} for the largest process; {plan.cores} at once",
            f"time        about {rough_duration(plan.seconds)} on {plan.cores} {'cores' if plan.cores > 1 else 'core'} here; {plan.measured}",
            *_indented([("units", "count", "of one process"), *((one.what, f"{one.count:,}", rough_duration(one.seconds)) for one in plan.hours)]),
            f"GPU         about {plan.gpu_hours:,.1f} hours of one {GPU} at {AT_PEAK:.0%} of its bfloat16 peak",
        ]
    else:
        lines.append("time        not measured; without --no-calibration, in half a minute")
    return "\n".join([*lines, *(f"note        {one}" for one in plan.warnings)])


def _indented(rows: list[tuple[str, ...]]) -> list[str]:
    return _indented_text(text_table(rows, left=1))


def _indented_text(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
