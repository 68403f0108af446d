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
from serving.recall import Recalled
from serving.tastes import Tastes
from training.features import UserBatch
from training.recall.channel import Candidates
from training.recall.multi_interest import Interest

TYPES = ("<i8", "<i4", "<f4", "<f8", "|b1")
MOST_DIMENSIONS = 3

Json = dict[str, Any]


class NotOurs(ValueError):
    """What came is not what `of_…` makes; the message says where."""


def of_array(array: np.ndarray) -> Json:
    """An array of one of TYPES.

    Raises:
        NotOurs: another type.
    """
    kind = array.dtype.newbyteorder("<").str
    if kind not in TYPES:
        raise NotOurs(f"an array of {array.dtype} cannot be sent; only {', '.join(TYPES)}")
    content = array.astype(kind, copy=False).tobytes()
    return {"type": kind, "shape": list(array.shape), "bytes": base64.b64encode(content).decode("ascii")}


def to_array(content: Any) -> np.ndarray:
    """What `of_array` was given, writable.

    Raises:
        NotOurs: a type or shape that is none of ours, or another number of bytes.
    """
    try:
        kind, shape, text = content["type"], content["shape"], content["bytes"]
        is_shape = (
            isinstance(shape, list)
            and len(shape) <= MOST_DIMENSIONS
            and all(type(side) is int and side >= 0 for side in shape)
        )
        if kind not in TYPES or not is_shape:
            raise NotOurs(f"array of type {str(kind)[:20]!r} and shape {str(shape)[:60]}")
        data = base64.b64decode(text, validate=True)
        if len(data) != math.prod(shape) * np.dtype(kind).itemsize:
            raise NotOurs(f"{len(data)} bytes for an array of {kind} and shape {shape}")
        return np.frombuffer(data, dtype=kind).reshape(shape).copy()
    except (TypeError, KeyError, ValueError) as error:
        raise error if isinstance(error, NotOurs) else NotOurs(f"not an array: {error}") from error


def of_arrays(arrays: Mapping[str, np.ndarray]) -> Json:
    """Name ▸ array."""
    return {name: of_array(array) for name, array in arrays.items()}


def to_arrays(content: Any) -> dict[str, np.ndarray]:
    """What `of_arrays` was given.

    Raises:
        NotOurs: it is something else.
    """
    if not isinstance(content, dict):
        raise NotOurs("not arrays by name")
    return {str(name): to_array(array) for name, array in content.items()}


def of_users(users: UserBatch) -> Json:
    """B requests, see `UserBatch`."""
    return {
        "user_ids": users.user_ids,
        "request_at": of_array(users.request_at_B),
        "views": {
            name: {
                "columns": of_arrays(view.columns),
                "length": of_array(view.length_B),
            }
            for name, view in users.views.items()
        },
        "scenes": users.scene_B,
        "profile": of_arrays(users.profile),
    }


def to_users(content: Any) -> UserBatch:
    """What `of_users` was given.

    Raises:
        NotOurs: something is missing, or of another size than the rest.
    """
    try:
        users = UserBatch(
            user_ids=_texts(content["user_ids"]),
            request_at_B=to_array(content["request_at"]),
            views={
                str(name): SequenceBatch(to_arrays(view["columns"]), to_array(view["length"]))
                for name, view in content["views"].items()
            },
            scene_B=_texts(content["scenes"]),
            profile=to_arrays(content["profile"]),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise NotOurs(f"not the features of users: {error}") from error
    sizes = {len(users), len(users.scene_B) or len(users), *(len(one) for one in users.profile.values())}
    for view in users.views.values():
        sizes |= {len(view.length_B), *(len(column) for column in view.columns.values())}
    if sizes | {len(users.request_at_B)} != {len(users)}:
        raise NotOurs(f"features of {len(users)} users have rows for {sorted(sizes)}")
    return users


def of_candidates(found: Mapping[str, Candidates]) -> Json:
    """Channel ▸ its candidates, in order."""
    return {name: {"items": of_array(one.items_BK), "scores": of_array(one.scores_BK)} for name, one in found.items()}


def to_candidates(content: Any) -> dict[str, Candidates]:
    """What `of_candidates` was given.

    Raises:
        NotOurs: it is something else.
    """
    try:
        return {str(name): Candidates(to_array(one["items"]), to_array(one["scores"])) for name, one in content.items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise NotOurs(f"not candidates: {error}") from error


def of_recalled(recalled: Recalled) -> Json:
    """Candidates, and who was left out."""
    return {"candidates": of_candidates(recalled.candidates), "left_out": recalled.left_out}


def to_recalled(content: Any) -> Recalled:
    """What `of_recalled` was given.

    Raises:
        NotOurs: it is something else.
    """
    try:
        left_out = {str(name): str(why) for name, why in content["left_out"].items()}
        return Recalled(to_candidates(content["candidates"]), left_out)
    except (TypeError, KeyError, AttributeError) as error:
        raise NotOurs(f"not what recall answers: {error}") from error


def of_tastes(tastes: Tastes | None) -> Json:
    """Interests with their items, and names; without both where nothing has names."""
    if tastes is None:
        return {}
    found = [{"name": one.name, "share": one.share, "items": of_array(one.items)} for one in tastes.interests]
    return {"interests": found, "names": tastes.names}


def to_tastes(content: Any) -> Tastes | None:
    """What `of_tastes` was given.

    Raises:
        NotOurs: it is something else.
    """
    if content == {}:
        return None
    try:
        found = [
            Interest(str(one["name"]), float(one["share"]), to_array(one["items"])) for one in content["interests"]
        ]
        return Tastes(found, {str(key): str(name) for key, name in content["names"].items()})
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise error if isinstance(error, NotOurs) else NotOurs(f"not what interests are called: {error}") from error


def _texts(content: Any) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise NotOurs("not a list of texts")
    return content
