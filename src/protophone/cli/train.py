"""``train``: run a recipe into a bundle, or into a part of one: pitch units, a voice, an entropy model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["train"]


def train(
    recipe: Path,
    /,
    *,
    out: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
) -> None:
    """Train what a recipe says.

    Parameters
    ----------
    recipe
        A TOML file such as those in configs/: of an encoder (VQ-VAE, k-means, mixtures, content units), or of pitch
        units, a voice or an entropy model for the bundle it names.
    out
        The folder for the run, and of an encoder for its bundle; without it runs/NAME-OF-THE-RECIPE.
    set_
        A line of TOML laid over the recipe, such as 'train.steps = 2000'; may be given several times.

    """
    from protophone.cli.progress import Terminal
    from protophone.cli.terminal import answer, left_out, say
    from protophone.locks import sole_writer
    from protophone.outlook import of_training
    from protophone.recipe import load_recipe, run_recipe

    job = load_recipe(recipe, list(set_))
    folder = out or Path("runs") / recipe.stem
    failures: list[tuple[str, str]] = []
    with sole_writer(folder):
        terminal = Terminal()
        terminal.expect(of_training(job))
        bundle = run_recipe(job, folder, stage=terminal.stage, failures=failures, say=say)
    left_out(failures)
    answer(f"{bundle}: ready; protophone info {bundle}")
