"""Jobs and their cache: what a key depends on, and that only whole results count. The network here is small."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from full_disk import no_file_longer_than

from experiments import jobs
from experiments.jobs import NOT_METHOD, PACKAGE, Cache, Job, Runs, by_stage, method_files, method_hash
from reproduce import VGG19, Stop, Stopped, change
from reproduce.applications.registry import APPLICATIONS
from reproduce.files import WriteError
from reproduce.images.arrays import to_bytes
from reproduce.images.files import write_image
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


def another(leaf, value, settings):
    """Another value that a setting may have."""
    if leaf.name == "layer_weights":
        return tuple(range(1, len(settings.style.style_layers) + 1))
    if isinstance(value, bool):
        return not value
    if leaf.metadata["choices"]:
        return next(choice for choice in leaf.metadata["choices"] if choice != value)
    if isinstance(value, tuple):
        return ("block1_conv2", *value[1:])
    return value + 2 if isinstance(value, int) else value / 2 + 0.3


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
    changed = change(settings, **{leaf.name: another(leaf, value, settings)})
    assert changed.as_dict()[leaf.name] != value
    assert make_job(settings=changed).key != make_job(settings=settings).key


def test_the_style_loss_is_part_of_a_key():
    keys = {make_job(settings=change(PAPER, style_loss=name)).key for name in STYLE_LOSSES}
    assert len(keys) == len(STYLE_LOSSES)


VALUES = {
    "image": image(2),
    "layer": image(3),
    "mask": mask(),
    "corners": np.array([(8.0, 8), (40, 8), (40, 30), (8, 30)]),
    "images": [image(4), image(5)[1:]],
    "pairs": [(image(6), mask()), (image(7)[1:], mask())],
    "numbers": (0.5, 1.5),
}
INPUTS = [
    pytest.param(application, entry, id=f"{application.name}-{entry.name}")
    for application in APPLICATIONS.values()
    for entry in application.inputs
]


def with_another_end(value):
    """The last number of a value changed."""
    if isinstance(value, list | tuple):
        return [*value[:-1], with_another_end(value[-1])]
    changed = np.array(value)
    changed.ravel()[-1:] += 0.25
    return changed


@pytest.mark.parametrize(("application", "entry"), INPUTS)
def test_every_input_is_part_of_a_key(application, entry):
    job = Job("a case", application.name, {i.name: VALUES[i.kind] for i in application.inputs}, PAPER, None)
    assert with_input(job, entry.name, with_another_end(job.inputs[entry.name])).key != job.key
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
    entry = json.loads((tmp_path / f"{make_job().key}.json").read_text())
    assert entry["report"] == report and set(entry) == {"sha256", "report"}
    assert report["settings"] == json.loads(json.dumps(SHORT.as_dict()))


def test_a_transparent_image_is_kept_with_its_transparency(tmp_path):
    content = np.dstack([image(0), mask()])
    job = Job("a layer", "stylize", {"content": content, "style": image(1)}, SHORT, None)
    runs, _ = make_runs(tmp_path)
    found = runs.result(job).image
    assert found.shape == (40, 48, 4)
    np.testing.assert_array_equal(to_bytes(found), to_bytes(job.run(NETWORK).image))


# What was kept and is not whole any more


@pytest.fixture(scope="module")
def result():
    return make_job().run(NETWORK)


@pytest.fixture
def cache(tmp_path, result):
    """A cache that keeps `make_job()`."""
    cache = Cache(tmp_path / "cache")
    cache.keep(make_job(), result)
    return cache


def files(cache, job=None):
    """The image and the report of a job."""
    key = (job or make_job()).key
    return cache.folder / f"{key}.png", cache.folder / f"{key}.json"


def test_what_is_kept_counts_and_is_what_was_made(cache, result):
    found = cache.read(make_job())
    assert cache.has(make_job()) and not cache.has(make_job(weights="0" * 64))
    np.testing.assert_array_equal(to_bytes(found.image), to_bytes(result.image))
    assert found.report == json.loads(json.dumps({"run": "a case"} | result.report.as_dict()))
    with pytest.raises(FileNotFoundError, match="No whole result of a case"):
        cache.read(make_job(weights="0" * 64))


@pytest.mark.parametrize("which", [0, 1], ids=["image", "report"])
def test_cut_off_at_any_length_it_does_not_count(cache, which):
    job, path = make_job(), files(cache)[which]
    whole = path.read_bytes()
    for length in sorted({*range(0, len(whole), 17), *range(len(whole) - 30, len(whole))}):
        path.write_bytes(whole[:length])
        assert not cache.has(job), length
    path.write_bytes(whole)
    assert cache.has(job)


@pytest.mark.parametrize("which", [0, 1], ids=["image", "report"])
def test_altered_in_any_byte_it_does_not_count(cache, which, random):
    """But where the same report is written in another way, such as 1E-05 for 1e-05."""
    job, path = make_job(), files(cache)[which]
    whole, report = path.read_bytes(), cache.read(make_job()).report
    for place in range(0, len(whole), 17):
        altered = bytearray(whole)
        altered[place] ^= random.integers(1, 256)
        path.write_bytes(altered)
        assert not cache.has(job) or (which and cache.read(job).report == report), place


def test_exchanged_between_jobs_it_does_not_count(cache, result):
    """Image, report, or both: a whole entry under another's name is not that other's."""
    one, other = make_job(), with_input(make_job(), "background", image(5))
    cache.keep(other, replace(result, image=1 - result.image))
    contents = [[path.read_bytes() for path in files(cache, job)] for job in (one, other)]
    assert contents[0][0] != contents[1][0]
    for exchanged in ((0,), (1,), (0, 1)):
        for job, own, foreign in ((one, *contents), (other, *reversed(contents))):
            for which, path in enumerate(files(cache, job)):
                path.write_bytes((foreign if which in exchanged else own)[which])
        assert not cache.has(one) and not cache.has(other), exchanged


@pytest.mark.parametrize(
    "text",
    ["", "null", "7", "[]", "{}", '"sha256"', '{"sha256": "0"}', '{"report": {}}', '{"sha256": null, "report": null}'],
)
def test_other_json_does_not_count(cache, text):
    files(cache)[1].write_text(text)
    assert not cache.has(make_job())


def cut_off(image, report):
    report.write_bytes(report.read_bytes()[:-1])


def altered(image, report):
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)


def another_image(image, report):
    write_image(image, np.zeros((40, 48, 3), np.float32))


def of_an_earlier_version(image, report):
    """Which had no hash: the report alone."""
    report.write_text(json.dumps(json.loads(report.read_text())["report"]))


def empty(image, report):
    image.write_bytes(b"")


def without_image(image, report):
    image.unlink()


def without_report(image, report):
    report.unlink()


DAMAGES = [cut_off, altered, another_image, of_an_earlier_version, empty, without_image, without_report]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_does_not_count_is_made_again_and_right_afterwards(cache, result, damage):
    damage(*files(cache))
    runs, told = make_runs(cache.folder)
    assert not cache.has(make_job())
    found = runs.result(make_job())
    assert told
    np.testing.assert_array_equal(to_bytes(found.image), to_bytes(result.image))
    assert found.report["loss"] == result.report.loss
    assert sorted(cache.folder.iterdir()) == sorted(files(cache))
    told.clear()
    np.testing.assert_array_equal(runs.result(make_job()).image, found.image)
    assert not told


@pytest.mark.parametrize("put_in_place", [0, 1])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_end_between_image_and_report_leaves_neither(tmp_path, result, monkeypatch, put_in_place, error):
    cache, replace_file, done = Cache(tmp_path), Path.replace, []

    def fail_after_some(self, target):
        if len(done) == put_in_place:
            raise error
        done.append(target)
        return replace_file(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail_after_some)
        with pytest.raises(error):
            cache.keep(make_job(), result)
    assert not list(tmp_path.iterdir()) and not cache.has(make_job())


@pytest.mark.parametrize("there", [False, True], ids=["new", "in place of a damaged one"])
@pytest.mark.parametrize("which", [0, 1], ids=["image", "report"])
def test_a_full_disk_leaves_what_was_there(tmp_path, result, which, there):
    cache, entries = Cache(tmp_path / "cache"), result.report.trace
    # So that the image is the shorter file, or the longer one.
    result = replace(result, report=replace(result.report, trace=entries * 100 if which else entries))
    cache.keep(make_job(), result)
    lengths = [path.stat().st_size for path in files(cache)]
    assert lengths[which] > lengths[1 - which]
    for path in files(cache):
        path.write_bytes(b"damaged") if there else path.unlink()
    with no_file_longer_than(lengths[which] - 1), pytest.raises(WriteError, match=rf"{make_job().key}.*too large"):
        cache.keep(make_job(), result)
    assert [path.read_bytes() for path in sorted(cache.folder.iterdir())] == [b"damaged"] * 2 * there
    assert not cache.has(make_job())
    cache.keep(make_job(), result)
    assert cache.has(make_job())


def test_a_trace_by_stage():
    trace = [{"stage": stage, "loss": loss} for stage, loss in ((0, 9.0), (1, 4.0), (1, 1.0))]
    assert by_stage(trace) == [trace[:1], trace[1:]]
