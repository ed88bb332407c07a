"""What lies in each folder that steps hand to one another, by the name of its format.

`wf` compares the format that a job writes with the one that the next job reads, before anything runs.
Times are whole seconds since 1970 in UTC. Ids are text, whatever the source used.
"""

from typing import Final

RAW_RATINGS: Final = "raw-ratings"
RATINGS: Final = "ratings"
SPLIT: Final = "split"
TRAINED_MODEL: Final = "trained-model"
SAVED_MODEL: Final = "saved-model"
REPORT: Final = "report"
TRACKING: Final = "tracking"
COST: Final = "cost"
MODEL_CHECK: Final = "model-check"
DECISION: Final = "decision"
MODEL_ID: Final = "model-id"
DEPLOYMENT: Final = "deployment"

FORMATS: Final = {
    RAW_RATINGS: """\
ratings as they came, typed but unchecked
  ratings.parquet  user_id text, item_id text, rating float64 or null, timestamp int64 or null,
                   unparsed text or null (JSON: column -> the text that could not be read)
  items.parquet    item_id text, title text, year int32 or null, genres list of text   (where the source has items)
  users.parquet    user_id text, age int32 or null, gender text, occupation text, zip text (where it has users)
  dataset.json     name, source, sha256, rating_min, rating_max, ratings, users, items""",
    RATINGS: """\
checked ratings: no null, and by default one row for each user and item
  ratings.parquet  user_id text, item_id text, title text, rating float32, timestamp int64
  items.parquet, users.parquet, dataset.json   as in raw-ratings
  report.json      rows_in, rows_out, and for each check its policy and the rows found, dropped, fixed, kept""",
    SPLIT: """\
ratings in three parts, for learning, choosing and judging
  train.parquet, validation.parquet, test.parquet   the columns of ratings
  items.parquet, users.parquet, dataset.json        as in ratings
  split.json       method, its parameters, rows in each part""",
    TRAINED_MODEL: """\
a trained TensorFlow model and how it came to be
  model.json       the step's parameters, rating scale, sizes
  vocabulary.json  users and titles, in the order of their embedding rows
  basis.npz        what is known of titles, and the training rows by embedding row
  weights.weights.h5   the best epoch's weights
  history.json     one record for each epoch
  seeds/           where there were several, the same for each: seeds/1/model.json and so on""",
    SAVED_MODEL: """\
a TensorFlow SavedModel that needs no custom Python
  saved_model.pb, variables/, assets/   loadable by tf.saved_model.load and TensorFlow Serving
  assets.extra/    tf_serving_warmup_requests: what servers answer before their first client
  export.json      signatures, rating scale, result of the smoke test, and `samples`: some of its requests, by columns,
                   with the ratings that a server should answer
  titles.json      the titles that it knows
  index/           where an index was exported: the signature `recommend` in a SavedModel that needs ScaNN""",
    REPORT: """\
what a person reads
  report.html      one self-contained page
  metrics.json     the same figures for programs
  predictions.parquet   of `evaluate`: user_id, item_id, rating, and what was predicted, static and prequential
  lists.parquet    of `evaluate`: user_id, and how good the lists of those are who had rated before""",
    TRACKING: """\
experiment records
  *.zip            Comet offline archives, for `comet upload`""",
    COST: """\
what a training took, which differs from one to the next even where the model does not
  cost.json        train_seconds""",
    MODEL_CHECK: """\
what an exported model was found to be
  check.json       megabytes, signatures, largest_difference of its sample answers""",
    DECISION: """\
whether a model may be deployed
  decision.json    deployment, passes, why, rows; compared_with and the difference of RMSE where something serves""",
    MODEL_ID: """\
no folder but a file, which `create-model@v1` writes: the id of a model""",
    DEPLOYMENT: """\
what serves now
  deployment.json  name, id, revision, state, endpoint, grpc_endpoint, url, model""",
}
