"""The stock `Trainer` of transformers, told nothing of the model, trains it and evaluates it by loss and metrics."""

import pytest
import torch
from transformers import AutoModelForVideoClassification, Trainer, TrainingArguments

FURTHER = [
    {"name": "sentiment", "labels": ["neutral", "positive", "negative"]},
    {"name": "valence", "labels": ["valence"], "problem_type": "regression"},
]
ROWS = 10  # more than two batches of 4


def rows_of(inputs, several):
    """A list of samples, each a dictionary of what the processor and the data set give."""
    rows = []
    for i in range(ROWS):
        row = {key: values[i % 4] for key, values in inputs.items()}
        labels = {"emotion": torch.tensor(i % 7), "sentiment": torch.tensor(i % 3), "valence": torch.tensor([i / 10])}
        row["labels"] = labels if several else labels["emotion"]
        rows.append(row | {"sample_weights": torch.tensor(1.0 + i % 2)})
    return rows


def stacked(rows):
    if isinstance(rows[0], dict):
        return {key: stacked([row[key] for row in rows]) for key in rows[0]}
    return torch.stack(rows)


@pytest.mark.parametrize("several", [False, True], ids=["one-task", "three-tasks"])
def test_it_evaluates_by_loss_and_metrics(make_config, inputs_for, tmp_path, several):
    torch.manual_seed(0)
    model = AutoModelForVideoClassification.from_config(
        make_config(task="emotion", further_tasks=FURTHER if several else [])
    )
    rows, seen = rows_of(inputs_for(model.config.modalities), several), []

    def metrics(outputs):
        seen.append(outputs)
        return {"rows": len(outputs.label_ids["emotion"] if several else outputs.label_ids)}

    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            per_device_eval_batch_size=4,
            num_train_epochs=1,
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=True,
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=stacked,
        compute_metrics=metrics,
    )
    assert trainer.label_names == ["labels"]
    trainer.train()
    found = trainer.evaluate()
    assert found["eval_loss"] > 0 and found["eval_rows"] == ROWS
    assert trainer.state.best_metric == pytest.approx(found["eval_loss"])
    predicted = trainer.predict(rows)
    with torch.no_grad():
        whole = model(**{key: value for key, value in stacked(rows).items() if key != "labels"})
    if not several:
        torch.testing.assert_close(torch.from_numpy(predicted.predictions), whole.logits)
        return
    main, by_task = predicted.predictions
    assert (main == by_task["emotion"]).all() and list(seen[-1].label_ids) == ["emotion", "sentiment", "valence"]
    for name, logits in whole.task_logits.items():
        torch.testing.assert_close(torch.from_numpy(by_task[name]), logits)
        assert len(predicted.label_ids[name]) == ROWS
