"""Which settings tell runs of a cell apart."""

from mavrl.reports.variation import plain_settings, settings_as_overrides, varying_settings

P, D = ("grid_trap", "p"), ("grid_trap", "d")


def test_settings_as_a_command_line_has_them_without_seeds_and_choices() -> None:
    config = {
        "seed": 3, "replicates": 2, "optim": {"lr": 0.01, "batch_size": None}, "model": {"hidden_sizes": [8]},
        "teacher": {"_target_": "a.b"}, "choices": {"env": "grid_trap"}, "overrides": ["seed=3"],
    }  # fmt: skip
    assert plain_settings(config) == {"optim.lr": "0.01", "optim.batch_size": "null", "model.hidden_sizes": "[8]"}


def test_only_what_runs_of_one_cell_do_not_share_varies() -> None:
    settings = [{"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "1", "b": "7"}, {}]
    assert varying_settings(settings, [P, P, D, P]) == [{"a": "1"}, {"a": "2"}, {}, {}]


def test_a_key_that_not_all_have_varies() -> None:
    assert varying_settings([{"a": "1"}, {"a": "1", "b": "2"}], [P, P]) == [{}, {"b": "2"}]


def test_many_settings_are_cut() -> None:
    assert settings_as_overrides({"a": "1", "b": "x"}) == "a=1 b=x"
    assert settings_as_overrides({str(k): "v" for k in range(7)}) == "0=v 1=v 2=v 3=v 4=v +2 more"
    assert settings_as_overrides({}) == ""
