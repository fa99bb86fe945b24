"""What tests of the interface share."""

import pytest
from small_run import make_small_run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder of results of a small run; tests leave it as it is."""
    return make_small_run(tmp_path_factory.mktemp("small"))
