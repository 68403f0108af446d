"""Deduplication with bounded memory."""

import json

from serving.events.deduplication import RecentEventIds


def test_oldest_ids_are_evicted():
    ids = RecentEventIds(capacity=3)
    assert [ids.add(name) for name in "abcd"] == [True] * 4
    assert len(ids) == 3
    assert [ids.add("d"), ids.add("c"), ids.add("a")] == [False, False, True]


def test_removed_ids_are_new_again():
    ids = RecentEventIds(capacity=3)
    for name in "abc":
        ids.add(name)
    ids.remove_newest(2)
    assert [ids.add(name) for name in "abc"] == [False, True, True]
    ids.remove_newest(9)
    assert len(ids) == 0 and ids.add("a")


def test_newest_ids_of_log_files_are_loaded(tmp_path):
    names = ["plain", 'quo"te', "back\\slash", "é", "last"]
    paths = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for path, part in zip(paths, (names[:3], names[3:]), strict=True):
        path.write_text(
            "".join(json.dumps({"event_id": name, "user_id": "u"}, separators=(",", ":")) + "\n" for name in part)
        )
    ids = RecentEventIds(capacity=4)
    ids.load(paths)
    assert [ids.add(name) for name in names[1:]] == [False] * 4
    assert ids.add("plain")


def test_event_of_a_damaged_line_is_new(tmp_path):
    path = tmp_path / "1.jsonl"
    path.write_bytes(
        b'{"event_id":"whole","user_id":"u"}\n{"event_id":"damaged","us\0\0\0\0}\n{"event_id":"torn","user_id"\n3\n'
    )
    ids = RecentEventIds()
    ids.load([path])
    assert [ids.add(name) for name in ("whole", "damaged", "torn")] == [False, True, True]
