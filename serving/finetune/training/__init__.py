"""The training itself: one job, run to its end or to a checkpoint that it goes on from."""

from serving.finetune.training.failure import Failure, Kind, read_failure
from serving.finetune.training.job import TrainingJob, job_from_json

__all__ = ["Failure", "Kind", "TrainingJob", "job_from_json", "read_failure"]
