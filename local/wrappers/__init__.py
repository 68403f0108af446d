"""Servers of Airflow and MLflow, started with restrictions that they have no settings for."""
