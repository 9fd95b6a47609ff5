"""Every setting is described, and docs/settings.md says what the code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from omar_trainers.config import OMARConfig
from omar_trainers.settings.page import SUBJECTS, described, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


@pytest.mark.parametrize("owner", SUBJECTS)
def test_every_field_of_a_subject_is_described(owner: type) -> None:
    fields = [field.name for field in dataclasses.fields(owner)]
    assert sorted(described(owner)) == sorted(fields)
    assert all(len(meaning) > 10 for meaning in described(owner).values())


def test_subjects_and_the_class_itself_hold_all_new_fields() -> None:
    inherited = {
        field.name for base in OMARConfig.__bases__[:-1] for field in dataclasses.fields(base)
    }
    assert inherited == {name for owner in SUBJECTS for name in described(owner)}
    assert all("help" in f.metadata for f in dataclasses.fields(OMARConfig) if f.name in inherited)


def test_the_page_is_up_to_date() -> None:
    """``python -m omar_trainers.settings.page > docs/settings.md`` brings it up to date."""
    assert PAGE.read_text(encoding="utf-8") == page()
