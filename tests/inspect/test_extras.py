import sys

import pytest

from pyro_sparse.inspect.extras import require


def test_a_present_package_is_imported():
    assert require("json").loads("1") == 1


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)

    with pytest.raises(ImportError, match=r"arviz.*pip install 'pyro-sparse\[arviz\]'"):
        require("arviz")


def test_a_broken_package_shows_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import a_module_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        require("broken_package")
