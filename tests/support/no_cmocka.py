"""Stands for all unit tests where they cannot be built, so that the summary does not hide it."""

import pytest

pytest.skip("configure did not find cmocka: no unit test was built", allow_module_level=True)
