"""JSON encoding of arrays, users, candidates and interests for calls between services. Decoding never executes code.

BentoML would pickle between services, and unpickling external data can execute code. Here an array is its type, shape and
bytes; types are a short list, and the number of bytes must match the shape. The receiver bounds the size of the body.
Legend: B requests, L events, K candidates.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sequences.sequence_batch import SequenceBatch
from serving.pipeline.stages.recall import RecallResult, UserInterests
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.recall.multi_interest.channel import Interest
from training.recall.neural_channel import ItemsBetween

ALLOWED_DTYPES = ("<i8", "<i4", "<f4", "<f8", "|b1")
MAX_DIMENSIONS = 3

Json = dict[str, Any]


class InvalidPayload(ValueError):
    """The payload does not have the expected structure; the message names the part."""


def encode_array(array: np.ndarray) -> Json:
    """Encode an array of one of `ALLOWED_DTYPES`.

    Raises:
        InvalidPayload: The array has another type.
    """
    kind = array.dtype.newbyteorder("<").str
    if kind not in ALLOWED_DTYPES:
        raise InvalidPayload(f"an array of {array.dtype} cannot be sent; only {', '.join(ALLOWED_DTYPES)}")
    content = array.astype(kind, copy=False).tobytes()
    return {"type": kind, "shape": list(array.shape), "bytes": base64.b64encode(content).decode("ascii")}


def decode_array(content: Any) -> np.ndarray:
    """Decode an array, writable.

    Raises:
        InvalidPayload: Unknown type, invalid shape, or wrong number of bytes.
    """
    try:
        kind, shape, text = content["type"], content["shape"], content["bytes"]
        is_shape = (
            isinstance(shape, list)
            and len(shape) <= MAX_DIMENSIONS
            and all(type(side) is int and side >= 0 for side in shape)
        )
        if kind not in ALLOWED_DTYPES or not is_shape:
            raise InvalidPayload(f"array of type {str(kind)[:20]!r} and shape {str(shape)[:60]}")
        data = base64.b64decode(text, validate=True)
        if len(data) != math.prod(shape) * np.dtype(kind).itemsize:
            raise InvalidPayload(f"{len(data)} bytes for an array of {kind} and shape {shape}")
        return np.frombuffer(data, dtype=kind).reshape(shape).copy()
    except (TypeError, KeyError, ValueError) as error:
        raise error if isinstance(error, InvalidPayload) else InvalidPayload(f"not an array: {error}") from error


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> Json:
    """Encode arrays by name."""
    return {name: encode_array(array) for name, array in arrays.items()}


def decode_arrays(content: Any) -> dict[str, np.ndarray]:
    """Decode arrays by name.

    Raises:
        InvalidPayload: The payload has another structure.
    """
    if not isinstance(content, dict):
        raise InvalidPayload("not a mapping of arrays")
    return {str(name): decode_array(array) for name, array in content.items()}


def encode_users(users: UserBatch) -> Json:
    """Encode B requests, see `UserBatch`."""
    return {
        "user_ids": users.user_ids,
        "request_at": encode_array(users.request_at_B),
        "views": {
            name: {
                "columns": encode_arrays(view.columns),
                "length": encode_array(view.length_B),
            }
            for name, view in users.views.items()
        },
        "scenes": users.scene_B,
        "profile": encode_arrays(users.profile),
        "left_out_begin": encode_array(users.left_out_begin_B),
    }


def decode_users(content: Any) -> UserBatch:
    """Decode B requests.

    Raises:
        InvalidPayload: A part is missing, or has another number of rows than the rest.
    """
    try:
        users = UserBatch(
            user_ids=_texts(content["user_ids"]),
            request_at_B=decode_array(content["request_at"]),
            views={
                str(name): SequenceBatch(decode_arrays(view["columns"]), decode_array(view["length"]))
                for name, view in content["views"].items()
            },
            scene_B=_texts(content["scenes"]),
            profile=decode_arrays(content["profile"]),
            left_out_begin_B=decode_array(content["left_out_begin"]),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not the features of users: {error}") from error
    sizes = {len(users), len(users.scene_B) or len(users), *(len(one) for one in users.profile.values())}
    sizes |= {len(users.left_out_begin_B) or len(users)}
    for view in users.views.values():
        sizes |= {len(view.length_B), *(len(column) for column in view.columns.values())}
    if sizes | {len(users.request_at_B)} != {len(users)}:
        raise InvalidPayload(f"features of {len(users)} users have rows for {sorted(sizes)}")
    return users


def encode_candidates(found: Mapping[str, Candidates]) -> Json:
    """Encode the candidates of channels, in order."""
    return {
        name: {"items": encode_array(one.items_BK), "scores": encode_array(one.scores_BK)}
        for name, one in found.items()
    }


def decode_candidates(content: Any) -> dict[str, Candidates]:
    """Decode the candidates of channels.

    Raises:
        InvalidPayload: The payload has another structure.
    """
    try:
        return {
            str(name): Candidates(decode_array(one["items"]), decode_array(one["scores"]))
            for name, one in content.items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not candidates: {error}") from error


def encode_recall_result(recalled: RecallResult) -> Json:
    """Encode candidates and the channels left out."""
    return {"candidates": encode_candidates(recalled.candidates), "left_out": recalled.left_out}


def decode_recall_result(content: Any) -> RecallResult:
    """Decode a recall result.

    Raises:
        InvalidPayload: The payload has another structure.
    """
    try:
        left_out = {str(name): str(why) for name, why in content["left_out"].items()}
        return RecallResult(decode_candidates(content["candidates"]), left_out)
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not a recall result: {error}") from error


def encode_items_between(found: ItemsBetween | None) -> Json:
    """Encode items and vectors; an empty object for None."""
    if found is None:
        return {}
    return encode_arrays({"items": found.items_BK, "scores": found.scores_BK, "vectors": found.vector_ND})


def decode_items_between(content: Any) -> ItemsBetween | None:
    """Decode items and vectors.

    Raises:
        InvalidPayload: The payload has another structure.
    """
    if content == {}:
        return None
    try:
        items, scores, vectors = (decode_array(content[name]) for name in ("items", "scores", "vectors"))
    except (TypeError, KeyError) as error:
        raise InvalidPayload(f"not items between tracks: {error}") from error
    if items.ndim != 2 or vectors.ndim != 2 or items.shape != (1, len(vectors)) or scores.shape != items.shape:
        raise InvalidPayload(f"items {items.shape} and scores {scores.shape} with vectors {vectors.shape}")
    return ItemsBetween(items, scores, vectors)


def encode_user_interests(user_interests: UserInterests | None) -> Json:
    """Encode interests; an empty object for None."""
    if user_interests is None:
        return {}
    found = [
        {"name": one.name, "share": one.share, "items": encode_array(one.items)} for one in user_interests.interests
    ]
    return {"interests": found, "names": user_interests.names}


def decode_user_interests(content: Any) -> UserInterests | None:
    """Decode interests.

    Raises:
        InvalidPayload: The payload has another structure.
    """
    if content == {}:
        return None
    try:
        found = [
            Interest(str(one["name"]), float(one["share"]), decode_array(one["items"])) for one in content["interests"]
        ]
        return UserInterests(found, {str(key): str(name) for key, name in content["names"].items()})
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise (
            error if isinstance(error, InvalidPayload) else InvalidPayload(f"not user interests: {error}")
        ) from error


def _texts(content: Any) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise InvalidPayload("not a list of texts")
    return content
