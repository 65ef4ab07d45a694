"""Reads our event files with TensorBoard and compares every value with study.json.

usage: tensorboard_events.py [--build FOLDER]

A small search with structures that do not fit and others that do not pass the gate is exported with `retort study export
--tensorboard`. TensorBoard's own reader (which checks the records' checksums) must give each trial's losses and
accuracies by epoch and its costs as study.json has them, in the 32 bits of the format; its hparams plugin must list every
trial with its genes, its structure, its metrics and its status.
"""

import warnings

import numpy as np

warnings.filterwarnings("ignore")
from tensorboard import context  # noqa: E402
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer  # noqa: E402
from tensorboard.plugins import base_plugin  # noqa: E402
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups  # noqa: E402

from _small_search import retort, search, workplace  # noqa: E402

EPOCH_TAGS = {"loss/train": "train_loss", "loss/validation": "validation_loss", "accuracy/train": "train_accuracy",
              "accuracy/validation": "validation_accuracy"}
METRICS = ["int8 accuracy", "accuracy/validation", "flash bytes", "RAM bytes", "MACs", "parameters", "milliseconds",
           "sparsity"]


def wanted_scalars(trial):
    """Tag → [(step, 32-bit value)]."""
    epochs = [e for s in trial["stages"] for e in s["history"]["epochs"]]
    out = {tag: [(i + 1, np.float32(e[key])) for i, e in enumerate(epochs) if e[key] is not None]
           for tag, key in EPOCH_TAGS.items()}
    complete = trial["outcome"] == "complete"
    last = {"int8 accuracy": trial["accuracy_int8"], "flash bytes": trial["footprint"]["flash"]["total"],
            "RAM bytes": trial["footprint"]["ram"]["total"], "MACs": trial["macs"], "parameters": trial["parameters"],
            "milliseconds": (trial["latency"] or {}).get("milliseconds"),
            "sparsity": trial["sparsity"] if complete else None}
    out |= {tag: [(len(epochs), np.float32(value))] for tag, value in last.items() if value is not None}
    return {tag: points for tag, points in out.items() if points}


def main():
    with workplace(__doc__) as (program, work):
        trials = search(program, work / "out", work / "data")
        events = work / "events"
        written = retort(program, "study", "export", str(work / "out"), "--tensorboard", str(events))
        assert written["runs"] == len(trials)

        runs = plugin_event_multiplexer.EventMultiplexer(size_guidance={})
        runs.AddRunsFromDirectory(str(events))
        runs.Reload()
        points = 0
        for trial in trials:
            run = f"trial {trial['number']:04}"
            wanted = wanted_scalars(trial)
            tags = set(runs.PluginRunToTagToContent("scalars")[run])
            assert tags == set(wanted), (run, tags ^ set(wanted))
            for tag, values in wanted.items():
                found = [(e.step, np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0]
                          if e.tensor_proto.tensor_content else np.float32(e.tensor_proto.float_val[0]))
                         for e in runs.Tensors(run, tag)]
                assert found == values, (run, tag, found, values)
                points += len(values)

        provider = data_provider.MultiplexerDataProvider(runs, str(events))
        hparams = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(events)))
        metadata = hparams.hparams_metadata(context.RequestContext(), "")
        experiment = hparams.experiment_from_metadata(context.RequestContext(), "", True, metadata, None)
        names = [info.name for info in experiment.hparam_infos]
        assert sorted(names) == ["blocks", "dense", "filters", "layers", "structure", "units"], names
        assert [info.name.tag for info in experiment.metric_infos] == METRICS
        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=len(trials) + 1, include_metrics=True,
            allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING,
                              api_pb2.STATUS_UNKNOWN],
            col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos])
        groups = list_session_groups.Handler(context.RequestContext(), hparams, "", request).run().session_groups
        assert len(groups) == len(trials)
        for group in groups:
            (session,) = group.sessions
            trial = trials[int(group.name.split()[1])]
            values = {name: value.number_value if value.HasField("number_value") else value.string_value
                      for name, value in group.hparams.items()}
            words = trial["config"].replace(",", "").split()
            genes = dict(zip((w if w.startswith("dense") else w.rstrip("s") + "s" for w in words[1::2]),
                             map(int, words[::2])))
            assert values == genes | {"structure": trial["config"]}, (trial["number"], values, genes)
            wanted = wanted_scalars(trial)
            metrics = {metric.name.tag: (metric.training_step, np.float32(metric.value))
                       for metric in session.metric_values}
            assert metrics == {tag: wanted[tag][-1] for tag in METRICS if tag in wanted}, (trial["number"], metrics)
            status = api_pb2.STATUS_FAILURE if trial["outcome"] == "failed" else api_pb2.STATUS_SUCCESS
            assert session.status == status, (trial["number"], session.status)
        print(f"TensorBoard: {len(trials)} runs with {points} values agree, and its hparams plugin lists them all")


if __name__ == "__main__":
    main()
