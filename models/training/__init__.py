"""Fine-tuning and distillation.

Imports all other packages of models.
"""
