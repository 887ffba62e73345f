"""Encode images that the run has not encoded; the codes are units of work, so a source's encoder processes no image twice."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from taskonomy.atomic_io import whole_folder
from taskonomy.config.encoder_params import PretrainedParams
from taskonomy.dataset.prepared_dataset import Prepared
from taskonomy.dataset.splits import Split
from taskonomy.errors import TaskonomyError
from taskonomy.machine.cores import on_every_core
from taskonomy.new_task.request import Query
from taskonomy.pretrained.encode_images import ImageSource, as_prepared, codes_of_views
from taskonomy.pretrained.onnx_encoder import OnnxEncoder
from taskonomy.pretrained.principal import FITTED, read_components
from taskonomy.store.store import Store, code_digest, digest_of, key_of
from taskonomy.store.unit_keys import UNIT_CODE, libraries
from taskonomy.transfers.variants import encoder_weights, weights_digest

CODES = "codes"


def codes_key(query: Query, source: str, rows: Int[np.ndarray, " rows"]) -> str:
    """Compute the key of these images' codes by a source's encoder."""
    if source in query.others.params:
        return _other_key(query, source, rows)
    how, read = query.task.input.value, query.registry[source].input.value
    weights = _weights_digest(query.models / source)
    images = _images_digest(query.context.prepared, rows.tobytes())
    encoder = {"shape": query.encoding.shape.model_dump(), "precision": query.encoding.precision.value, "dtype": query.encoding.dtype}
    code = code_digest(*UNIT_CODE, "taskonomy.new_task.encode")
    return key_of(kind="codes", weights=weights, encoder=encoder, images=images, how=how, read=read, code=code, **libraries(images=True))


def codes_of_rows(query: Query, source: str, rows: Int[np.ndarray, " rows"]) -> np.ndarray:
    """Return the codes of these images, from the store or newly computed."""
    store, key = Store(query.context.store), codes_key(query, source, rows)
    if (unit := store.read(key)) is None:
        encode((query, source, key, tuple(rows.tolist())))
        unit = store.read(key)
    if unit is None:
        raise TaskonomyError(f"{store.root}: the unit {key} vanished while it was used")
    return unit.arrays[CODES]


def encode_all(query: Query) -> dict[str, str]:
    """Write the codes of every source that lacks them for these images, as the stage `train` writes them.

    Returns:
        Source -> key of the unit.
    """
    rows = np.flatnonzero(Prepared(query.context.prepared).splits != Split.TRAIN.number)
    store, how = Store(query.context.store), query.task.input.value
    keys = {source: codes_key(query, source, rows) for source in query.to_encode}
    missing = [(query, source, key, tuple(rows.tolist())) for source, key in keys.items() if store.read(key) is None]
    for _work, _none in on_every_core(encode, missing):
        pass
    for source in keys:
        with whole_folder(query.context.codes / source) as folder:
            np.save(folder / f"{how}.npy", codes_of_rows(query, source, rows))
    return keys


def _other_key(query: Query, source: str, rows: Int[np.ndarray, " rows"]) -> str:
    """Compute the key of these images' codes by an encoder that others trained: the data's images are known by those that were prepared from them."""
    params = query.others.params[source].model_dump(mode="json", exclude={"file", "licence", "title"})
    projection = query.others.codes / source / FITTED
    files = [np.frombuffer(path.read_bytes(), np.uint8) for path in (projection,) if path.is_file()]
    model = np.frombuffer(_opened(query, source).model.SerializeToString(), np.uint8)
    code = code_digest("taskonomy.pretrained", "taskonomy.training.transforms", "taskonomy.new_task.encode")
    return key_of(
        kind="codes of another's encoder", name=source, params=params, model=digest_of(model, *files), how=query.task.input.value,
        images=_images_digest(query.context.prepared, rows.tobytes()), side=_code_side(query), dtype=query.encoding.dtype, code=code,
    )  # fmt: skip


def _code_side(query: Query) -> int:
    return int(Prepared(query.context.prepared).images.shape[1]) // query.encoding.shape.stride


@lru_cache(maxsize=4)
def _of_file(source: str, params: PretrainedParams, project: Path) -> OnnxEncoder:
    return OnnxEncoder(source, params, project)


def _opened(query: Query, source: str) -> OnnxEncoder:
    return _of_file(source, query.others.params[source], query.others.project)


def _encode_by_file(query: Query, source: str, key: str, rows: tuple[int, ...]) -> None:
    """Make a unit of codes by an encoder that others trained."""
    params, prepared = query.others.params[source], query.context.prepared
    components = read_components(query.others.codes / source / FITTED) if params.channels is not None else None
    data = as_prepared(query.others.data, query.others.images)
    images = ImageSource(source, params, prepared, _code_side(query))
    made = codes_of_views(images, _opened(query, source), components, data, np.array(rows), query.task.input, query.encoding.dtype)
    Store(query.context.store).write(key, {CODES: made}, {"name": f"codes by {source} for {query.target}"})


def encode(work: tuple[Query, str, str, tuple[int, ...]]) -> None:
    """Make a unit of codes; torch is imported here, in the process that needs it."""
    if work[1] in work[0].others.params:
        _encode_by_file(*work)
        return
    import torch

    from taskonomy.machine.device import fastest
    from taskonomy.models.encoder import make_encoder
    from taskonomy.training.codes import codes_of

    query, source, key, rows = work
    how = query.encoding
    torch.set_num_threads(1)  # as in training
    encoder = make_encoder(how.shape, query.registry[source].in_channels)
    try:
        encoder.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in encoder_weights(query.models / source).items()})
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise TaskonomyError(f"{query.models / source}: its encoder is not of the form that the parameters say ({said}); train again") from None
    encoder.to(fastest(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepared, read = Prepared(query.context.prepared), query.registry[source].input
    made: Any = codes_of(encoder, prepared.images, np.array(rows), query.task.input, read, how.precision, how.dtype)
    Store(query.context.store).write(key, {CODES: made}, {"name": f"codes by {source} for {query.target}"})


@lru_cache(maxsize=64)
def _weights_digest(model: Path) -> str:
    return weights_digest(encoder_weights(model))


@lru_cache(maxsize=8)
def _images_digest(prepared: Path, rows: bytes) -> str:
    chosen = np.frombuffer(rows, np.int64)
    return key_of(rows=digest_of(chosen), images=digest_of(np.asarray(Prepared(prepared).images[chosen])))
