"""Fine-tuning done: data prepared, training run, artefacts kept. Its rooms are its doors."""
