"""The page that lists where the report parts from its own sources."""

import pytest

pytestmark = pytest.mark.smoke

KINDS = {"narrower", "something else", "counts otherwise", "two sources", "not public", "out of date", "fewer"}


def test_every_line_names_a_claim_a_source_a_kind_and_what_was_read():
    from analyses.sources import source_page

    (table,) = source_page().blocks
    assert len(table.rows) >= 15
    for row in table.rows:
        assert len(row) == len(table.columns)
        assert all(row)
        assert row[4] in KINDS


def test_a_line_without_a_claim_is_refused(tmp_path, monkeypatch):
    from analyses import settings
    from analyses.sources import source_page
    from crimepolicy.errors import ClaimError

    (tmp_path / "sources.toml").write_text('[X99]\nsource = "a"\ndiffers = "b"\nkind = "narrower"\nknown = "c"\n')
    monkeypatch.setattr(settings, "HERE", tmp_path)
    with pytest.raises(ClaimError, match="X99"):
        source_page()
