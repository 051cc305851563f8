"""Fine-tuning: a trained body, a head for a task, and what Howard and Ruder 2018 do so that the body is not spoiled."""
