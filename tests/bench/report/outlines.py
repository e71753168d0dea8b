"""Pages without their pictures, for drawing is nine tenths of their time."""

from matplotlib.figure import Figure

PICTURES = {
    "png": bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001"
        "010100b138f6140000000049454e44ae426082"
    ),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"></svg>',
}


def outlines_alone(patch):
    """Lay no figure out and draw none while a patch holds."""
    patch.setattr(Figure, "savefig", lambda _, target, **given: target.write(PICTURES[given["format"]]))
    patch.setattr(Figure, "draw_without_rendering", lambda _: None)


def no_figures(patch):
    """Make none at all while a patch holds, for pages of whose figures nothing is asked."""
    outlines_alone(patch)
    patch.setattr("bench.report.drawing.figure._laid_out", lambda _: Figure())
