"""The only home of MLflow."""

import os

# Set before mlflow is imported: no pickle is ever loaded, nobody is told what runs here, no bars for small files.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # which is for our own JSON
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # no uv.lock of the current folder goes into a model
# MLflow itself would try for minutes. A request is sent once: twice, it could make a run twice; its sender tries again.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # s; more where large files go over slow lines
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
