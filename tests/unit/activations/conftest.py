"""What several tests of passes need."""

import pytest
import torch


@pytest.fixture(scope="module")
def one_thread():
    """Matrices this small are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
