"""Jobs and their cache: what a key depends on, and that only whole results are kept. The network here is small."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from experiments import jobs
from experiments.jobs import NOT_METHOD, PACKAGE, Cache, Job, Runs, by_stage, method_files, method_hash
from reproduce import VGG19, Stop, Stopped, change
from reproduce.applications.registry import APPLICATIONS
from reproduce.images.arrays import to_bytes
from reproduce.losses import STYLE_LOSSES
from reproduce.presets import PAPER, REFINED
from reproduce.settings import leaves

NETWORK = VGG19(width=0.05)
SHORT = change(PAPER, iterations=2, style_layers=("block2_conv1",), content_layers=("block2_conv1",))


def image(seed=0, shape=(40, 48)):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3)).astype(np.float32) / 255


def mask():
    mask = np.zeros((40, 48), np.float32)
    mask[10:30, 12:36] = 1
    return mask


def make_job(**changes):
    inputs = {"background": image(0), "composite": image(1), "mask": mask()}
    return replace(Job("a case", "harmonize", inputs, SHORT, None), **changes)


def with_input(job, name, value):
    return replace(job, inputs={**job.inputs, name: value})


# What a key depends on


def test_a_key_begins_with_the_application_and_is_the_same_for_equal_jobs():
    assert make_job().key == make_job().key
    assert make_job().key.startswith("harmonize-") and len(make_job().key) == len("harmonize-") + 16


def test_neither_the_name_nor_the_order_of_inputs_is_part_of_a_key():
    job = make_job()
    assert replace(job, name="another").key == job.key
    assert replace(job, inputs=dict(reversed(job.inputs.items()))).key == job.key


def another(leaf, value):
    """Another value that a setting may have."""
    if isinstance(value, bool):
        return not value
    if leaf.metadata["choices"]:
        return next(choice for choice in leaf.metadata["choices"] if choice != value)
    if isinstance(value, tuple):
        return ("block1_conv2",)
    return value + 2 if isinstance(value, int) else value / 2 + 0.125


SETTINGS = [REFINED, *(change(PAPER, style_loss=name) for name in STYLE_LOSSES)]
LEAVES = [
    pytest.param(settings, leaf, id=f"{'refined' if settings is REFINED else settings.style_loss}-{leaf.name}")
    for settings in SETTINGS
    for _, leaf, losses in leaves()
    if not losses or settings.style_loss in losses
]


@pytest.mark.parametrize(("settings", "leaf"), LEAVES)
def test_every_setting_is_part_of_a_key(settings, leaf):
    value = settings.as_dict()[leaf.name]
    changed = change(settings, **{leaf.name: another(leaf, value)})
    assert changed.as_dict()[leaf.name] != value
    assert make_job(settings=changed).key != make_job(settings=settings).key


def test_the_style_loss_is_part_of_a_key():
    keys = {make_job(settings=change(PAPER, style_loss=name)).key for name in STYLE_LOSSES}
    assert len(keys) == len(STYLE_LOSSES)


VALUES = {"image": image(2), "mask": mask(), "corners": np.array([(8.0, 8), (40, 8), (40, 30), (8, 30)])}
INPUTS = [
    pytest.param(application, entry, id=f"{application.name}-{entry.name}")
    for application in APPLICATIONS.values()
    for entry in application.inputs
]


@pytest.mark.parametrize(("application", "entry"), INPUTS)
def test_every_input_is_part_of_a_key(application, entry):
    job = Job("a case", application.name, {i.name: VALUES[i.kind] for i in application.inputs}, PAPER, None)
    value = np.array(job.inputs[entry.name])
    value.ravel()[-1] += 0.25
    assert with_input(job, entry.name, value).key != job.key
    left_out = {name: value for name, value in job.inputs.items() if name != entry.name}
    assert replace(job, inputs=left_out).key != job.key


def test_inputs_count_by_their_names():
    one = Job("one", "stylize", {"content": image(0), "style": image(1)}, PAPER, None)
    other = replace(one, inputs={"content": image(1), "style": image(0)})
    assert one.key != other.key


def test_images_of_the_same_bytes_and_other_sizes_are_other_inputs():
    one, other = (with_input(make_job(), "background", np.ones((*shape, 3))) for shape in ((40, 48), (48, 40)))
    assert one.key != other.key


def test_plain_values_are_inputs_too():
    keys = {with_input(make_job(), "value", value).key for value in (1, 2, 1.0, "1", True, (1, 2), (2, 1))}
    assert len(keys) == 7
    with pytest.raises(TypeError, match="numbers or text"):  # its bytes would be an address
        _ = with_input(make_job(), "value", None).key


def test_application_weights_code_and_versions_are_part_of_a_key(monkeypatch):
    keys = {make_job().key.partition("-")[2], make_job(weights="0" * 64).key.partition("-")[2]}
    keys.add(make_job(application="stylize").key.partition("-")[2])
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "method_hash", lambda package: "other code")
        keys.add(make_job().key.partition("-")[2])
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "versions", lambda: {"numpy": "0"})
        keys.add(make_job().key.partition("-")[2])
    assert len(keys) == 5


def test_a_job_can_be_sent_elsewhere():
    job = pickle.loads(pickle.dumps(make_job()))
    assert job.key == make_job().key
    np.testing.assert_array_equal(job.run(NETWORK).image, make_job().run(NETWORK).image)


def test_a_job_runs_with_its_own_weights_only():
    with pytest.raises(ValueError, match=r"Expected a network of weights 0+\. Received: None"):
        make_job(weights="0" * 64).run(NETWORK)


# The code that a key depends on


def package(folder, sources):
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def hash_of(folder, sources):
    return method_hash.__wrapped__(package(folder, sources))  # not what is remembered of the folder


FILES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}


def test_every_file_of_the_package_is_hashed_or_known_not_to_matter(tmp_path):
    assert set(NOT_METHOD) <= FILES and len(NOT_METHOD) == len(set(NOT_METHOD))
    plain = hash_of(tmp_path, dict.fromkeys(FILES, "x = 0"))
    matter = set()
    for file in FILES:
        if hash_of(tmp_path, {file: "x = 1"}) != plain:
            matter.add(file)
        package(tmp_path, {file: "x = 0"})
    assert matter == FILES - set(NOT_METHOD)


def test_what_results_are_made_by_is_hashed():
    hashed = {path.relative_to(PACKAGE).as_posix() for path in method_files(PACKAGE)}
    assert {"settings.py", "options.py", "losses/__init__.py", "solving/run.py", "images/polish.py"} <= hashed


def test_a_new_file_is_hashed_by_its_place_in_the_package(tmp_path):
    source = {"losses/gram.py": "x = 0"}
    plain = hash_of(tmp_path / "plain", source)
    assert hash_of(tmp_path / "more", source | {"losses/new.py": "x = 0"}) != plain
    assert hash_of(tmp_path / "moved", {"gram.py": "x = 0"}) != plain
    assert hash_of(tmp_path / "empty", source | {"matching/__init__.py": ""}) != plain


def test_comments_docstrings_and_layout_are_no_code(tmp_path):
    source = '"""Module."""\nclass A:\n    """A."""\n    def f(self, x):\n        """Double."""\n        return 2 * x\n'
    plain = hash_of(tmp_path, {"module.py": source})
    other = (
        '"""One."""\nclass A:\n    """It."""\n\n    def f(self, x):\n        """2."""\n        return (2 * x)  # why\n'
    )
    assert hash_of(tmp_path, {"module.py": other}) == plain
    assert hash_of(tmp_path, {"module.py": source.replace("2 * x", "3 * x")}) != plain
    assert hash_of(tmp_path, {"module.py": source.replace("2 * x", "'2 * x'")}) != plain


# The cache


def make_runs(folder, **changes):
    """Runs, and a list of the names of jobs that told of progress."""
    told = []
    runs = Runs(Cache(folder), NETWORK, Stop(), lambda job, progress: told.append(job.name))
    return replace(runs, **changes), told


def test_a_job_is_run_once(tmp_path):
    runs, told = make_runs(tmp_path / "cache")
    first = runs.result(make_job())
    assert set(told) == {"a case"}
    again, told = make_runs(tmp_path / "cache")
    second = again.result(replace(make_job(), name="the same under another name"))
    assert not told
    np.testing.assert_array_equal(first.image, second.image)
    assert first.report == second.report
    whole = make_job().run(NETWORK)
    np.testing.assert_array_equal(to_bytes(first.image), to_bytes(whole.image))
    assert first.report["run"] == "a case" and first.report["loss"] == whole.report.loss
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
        f"{make_job().key}.json",
        f"{make_job().key}.png",
    ]


def test_the_report_is_written_after_its_image(tmp_path, monkeypatch):
    runs, told = make_runs(tmp_path)

    def full(path, image):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "write_image", full)
        with pytest.raises(OSError, match="No space"):
            runs.result(make_job())
    assert list(tmp_path.iterdir()) == []
    told.clear()
    runs.result(make_job())
    assert told


def test_an_image_without_its_report_is_no_result(tmp_path):
    runs, told = make_runs(tmp_path)
    runs.result(make_job())
    (tmp_path / f"{make_job().key}.json").unlink()
    assert not runs.cache.has(make_job())
    told.clear()
    runs.result(make_job())
    assert told and runs.cache.has(make_job())


def test_a_stopped_run_is_not_kept(tmp_path):
    runs, _ = make_runs(tmp_path / "cache")

    def stop_at_the_first_iteration(job, progress):
        if progress.loss is not None:
            runs.stop.set()

    runs = replace(runs, on_progress=stop_at_the_first_iteration)
    with pytest.raises(Stopped):
        runs.result(make_job())
    assert not (tmp_path / "cache").exists()


def test_half_a_run_is_no_result():
    stop = Stop()
    with pytest.raises(Stopped):
        make_job().run(NETWORK, lambda progress: progress.loss is not None and stop.set(), stop)


def test_once_stopped_nothing_more_is_run(tmp_path):
    runs, told = make_runs(tmp_path)
    runs.stop.set()
    with pytest.raises(Stopped):
        runs.result(make_job())
    assert not told


def test_reports_in_the_cache_are_json(tmp_path):
    runs, _ = make_runs(tmp_path)
    report = runs.result(make_job()).report
    assert json.loads((tmp_path / f"{make_job().key}.json").read_text()) == report
    assert report["settings"] == json.loads(json.dumps(SHORT.as_dict()))


def test_a_trace_by_stage():
    trace = [{"stage": stage, "loss": loss} for stage, loss in ((0, 9.0), (1, 4.0), (1, 1.0))]
    assert by_stage(trace) == [trace[:1], trace[1:]]
