"""What crosses from one service to another: arrays and words as JSON, nothing that runs when it is read.

BentoML would pickle between services, and a pickle from outside is code. Here an array is its type, its shape and its bytes;
types are a short list, and the bytes must be as many as the shape says. The body's size is bounded by whoever reads it.
Legend: B requests, L events, K candidates.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sequences.batch import SequenceBatch
from serving.pipeline.recall import RecallResult
from serving.pipeline.user_interests import UserInterests
from training.data.user_batch import UserBatch
from training.recall.channel import Candidates
from training.recall.multi_interest.channel import Interest

ALLOWED_DTYPES = ("<i8", "<i4", "<f4", "<f8", "|b1")
MAX_DIMENSIONS = 3

Json = dict[str, Any]


class InvalidPayload(ValueError):
    """What came is not what `of_…` makes; the message says where."""


def encode_array(array: np.ndarray) -> Json:
    """An array of one of TYPES.

    Raises:
        NotOurs: another type.
    """
    kind = array.dtype.newbyteorder("<").str
    if kind not in ALLOWED_DTYPES:
        raise InvalidPayload(f"an array of {array.dtype} cannot be sent; only {', '.join(ALLOWED_DTYPES)}")
    content = array.astype(kind, copy=False).tobytes()
    return {"type": kind, "shape": list(array.shape), "bytes": base64.b64encode(content).decode("ascii")}


def decode_array(content: Any) -> np.ndarray:
    """What `of_array` was given, writable.

    Raises:
        NotOurs: a type or shape that is none of ours, or another number of bytes.
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
    """Name ▸ array."""
    return {name: encode_array(array) for name, array in arrays.items()}


def decode_arrays(content: Any) -> dict[str, np.ndarray]:
    """What `of_arrays` was given.

    Raises:
        NotOurs: it is something else.
    """
    if not isinstance(content, dict):
        raise InvalidPayload("not arrays by name")
    return {str(name): decode_array(array) for name, array in content.items()}


def encode_users(users: UserBatch) -> Json:
    """B requests, see `UserBatch`."""
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
    }


def decode_users(content: Any) -> UserBatch:
    """What `of_users` was given.

    Raises:
        NotOurs: something is missing, or of another size than the rest.
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
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not the features of users: {error}") from error
    sizes = {len(users), len(users.scene_B) or len(users), *(len(one) for one in users.profile.values())}
    for view in users.views.values():
        sizes |= {len(view.length_B), *(len(column) for column in view.columns.values())}
    if sizes | {len(users.request_at_B)} != {len(users)}:
        raise InvalidPayload(f"features of {len(users)} users have rows for {sorted(sizes)}")
    return users


def encode_candidates(found: Mapping[str, Candidates]) -> Json:
    """Channel ▸ its candidates, in order."""
    return {
        name: {"items": encode_array(one.items_BK), "scores": encode_array(one.scores_BK)}
        for name, one in found.items()
    }


def decode_candidates(content: Any) -> dict[str, Candidates]:
    """What `of_candidates` was given.

    Raises:
        NotOurs: it is something else.
    """
    try:
        return {
            str(name): Candidates(decode_array(one["items"]), decode_array(one["scores"]))
            for name, one in content.items()
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not candidates: {error}") from error


def encode_recall_result(recalled: RecallResult) -> Json:
    """Candidates, and who was left out."""
    return {"candidates": encode_candidates(recalled.candidates), "left_out": recalled.left_out}


def decode_recall_result(content: Any) -> RecallResult:
    """What `of_recalled` was given.

    Raises:
        NotOurs: it is something else.
    """
    try:
        left_out = {str(name): str(why) for name, why in content["left_out"].items()}
        return RecallResult(decode_candidates(content["candidates"]), left_out)
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidPayload(f"not what recall answers: {error}") from error


def encode_user_interests(tastes: UserInterests | None) -> Json:
    """Interests with their items, and names; without both where nothing has names."""
    if tastes is None:
        return {}
    found = [{"name": one.name, "share": one.share, "items": encode_array(one.items)} for one in tastes.interests]
    return {"interests": found, "names": tastes.names}


def decode_user_interests(content: Any) -> UserInterests | None:
    """What `of_tastes` was given.

    Raises:
        NotOurs: it is something else.
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
            error if isinstance(error, InvalidPayload) else InvalidPayload(f"not what interests are called: {error}")
        ) from error


def _texts(content: Any) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise InvalidPayload("not a list of texts")
    return content
