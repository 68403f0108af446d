"""Servers of Airflow and MLflow: how a home runs them, with restrictions that they have no settings for."""
