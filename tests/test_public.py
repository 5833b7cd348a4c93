"""The public face: every name it promises is there, and no other."""

import sigmascope


def test_every_public_name_resolves() -> None:
    for name in sigmascope.__all__:
        assert getattr(sigmascope, name) is not None
    assert set(dir(sigmascope)) == set(sigmascope.__all__) == {*sigmascope._HOMES, "__version__"}


def test_what_a_team_needs_for_its_model_is_there() -> None:
    from sigmascope import Guidance, guided, inspect, load, presets, wrap

    assert presets.PRESETS["edm"] is presets.edm
    assert all(map(callable, (Guidance, guided, inspect, load, wrap)))
