"""What every recommender is that learns by gradient: examples in, a loss out, weights as safetensors."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor
from transformers import PreTrainedModel

from models.catalogue import History
from models.errors import UserError
from models.origins import HERE, check_alone, check_whole
from models.recommender import Recommender

if TYPE_CHECKING:
    from collections.abc import Sequence


class Examples(Protocol):
    """Training examples by number; `lengths` lets batches be grouped so that little is padded."""

    @property
    def lengths(self) -> Sequence[int]:
        """Cost of each example in positions, without making the example."""

    @property
    def interactions(self) -> int:
        """Next items predicted in one epoch, by which throughput is compared."""

    def __len__(self) -> int:
        """Count the examples of one epoch."""

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example, for `TrainableRecommender.collate`."""


class TrainableRecommender(Recommender, PreTrainedModel):
    """A recommender with weights that are learned by gradient and saved as safetensors.

    `forward(**batch)` returns an output whose ``loss`` is the mean training loss.
    `save_pretrained` and `from_pretrained` round-trip everything `index` and `prepare` need.
    """

    @property
    def teacher(self) -> Mapping[str, Any] | None:
        """Settings of the one of its kind from which it learns, beside those of that one's recipe; None for nobody.

        A training takes the teacher's checkpoint, and makes it where there is none.
        """
        return None

    def learn_from(self, teacher: TrainableRecommender) -> None:
        """Take in the teacher that `teacher` asked for, before anything is trained; also where training goes on.

        Args:
            teacher: Trained, on the device, in eval mode.

        """
        del teacher

    def pretrain(self, histories: Sequence[History]) -> None:
        """Learn what must stand before training proper: a tower, a tokenizer, an LLM that only `index` asks.

        A training calls it once, on the device and in the number format that it trains in, and its seconds count. One
        that was interrupted goes on from saved weights without it, so what it learns must be in parameters and
        buffers. Most recommenders have nothing to do here.

        Args:
            histories: The training part.

        """
        del histories

    def choose_on_validation(self, quality: Callable[[], float]) -> dict[str, float]:
        """Choose what is not learned by gradient, once training has ended; most recommenders have nothing to choose.

        What is chosen must be in parameters or buffers, which are saved.

        Args:
            quality: Returns NDCG@10 of the training's validation users, as the recommender stands.

        Returns:
            What was chosen, by name.

        """
        del quality
        return {}

    @abstractmethod
    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut training histories into examples."""

    @abstractmethod
    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad a list of examples into one batch for `forward`."""

    def save_assets(self, folder: Path) -> None:
        """Save what is no tensor, such as a tokenizer, beside the weights."""

    def load_assets(self, folder: Path) -> None:
        """Load what `save_assets` saved."""

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save configuration, safetensors and assets."""
        super().save_pretrained(save_directory, *args, **kwargs)
        self.save_assets(Path(save_directory))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Load what `save_pretrained` saved; weights come from safetensors only, and nothing from anywhere else.

        Raises:
            UserError: Weights are missing, left over, of other shapes, or not finite; an asset is missing or damaged.
            OSError, ValueError, RuntimeError: The files are no checkpoint that transformers can read.

        """
        check_alone(Path(folder))
        kwargs |= HERE | {"use_safetensors": True, "output_loading_info": True}
        loaded: Any = super().from_pretrained(folder, *args, **kwargs)
        model: Self = loaded[0]
        told: dict[str, Any] = loaded[1]
        check_whole(model, told)
        if told["unexpected_keys"]:
            raise UserError(f"weights are left over, {', '.join(sorted(told['unexpected_keys'])[:3])}")
        model.load_assets(Path(folder))
        return model
